//! Requests to the operator's listener that are not an operator's: with wrong tokens, or for
//! another host name.

use ::moongate::printable::is_plain;
use serde_json::json;

use crate::support::caller::{Call, Reply};
use crate::support::firemoon::Firemoon;
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{OPS, WATCH, moongate, see, with_operators};
use crate::support::redis::wait_until;

const LINE: &str = "an operator's token was refused";

async fn sent(gateway: &Gateway, call: Call) -> Reply {
    let reply = call.send_uninspected(gateway.operator()).await;
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{}", reply.text());
    reply
}

/// Each leaves a line.
#[tokio::test]
async fn wrong_tokens_are_slowed_and_refused_beside_good_ones() {
    let firemoon = Firemoon::start();
    let throttle = json!({ "failures": 6, "within": "1h", "slow_by": "1ms", "refuse_for": "1h" });
    let installation =
        with_operators(Installation::before(&firemoon)).set("/identity/throttle", throttle);
    let mut gateway = Gateway::serve(&installation).await;
    let guesses: Vec<String> = (0..12).map(|number| format!("guessed-token-{number}")).collect();
    guesses.iter().for_each(|guess| gateway.forbid(guess));
    let teams = |token: &str| Call::get("/admin/v1/teams").with(token);
    for _ in 0..20 {
        let missing = sent(&gateway, Call::get("/admin/v1/teams")).await;
        assert_eq!(
            missing.refusal(),
            (401, "credential_missing".to_owned()),
            "a request without a token is no guess"
        );
    }
    for guess in &guesses[..6] {
        assert_eq!(
            sent(&gateway, teams(guess)).await.refusal(),
            (401, "credential_invalid".to_owned())
        );
    }
    for guess in &guesses[6..] {
        let refused = sent(&gateway, teams(guess)).await;
        assert_eq!(refused.refusal(), (429, "rate_limited".to_owned()));
        assert!(refused.header("retry-after").is_some());
    }
    for token in [OPS, WATCH] {
        assert_eq!(sent(&gateway, teams(token)).await.status, 200);
    }
    assert_eq!(
        gateway.send(&Call::get("/gateway/v1/me").with(installation.key("design"))).await.status,
        200
    );
    for line in gateway.lines_written(6, LINE).await {
        assert_eq!((&line["event"], &line["level"]), (&json!("admin_refused"), &json!("warn")));
        assert_eq!((&line["from"], line["request_id"].is_string()), (&json!("127.0.0.1"), true));
    }
    let throttled = "too many credentials failed: its failures are refused for a while";
    gateway.lines_written(1, throttled).await;
}

#[tokio::test]
async fn a_foreign_page_on_loopback_reads_and_changes_nothing() {
    let firemoon = Firemoon::start();
    let mut installation = with_operators(Installation::before(&firemoon))
        .set("/admin/hosts", json!(["moongate.internal"]));
    let gateway = Gateway::serve(&installation).await;
    let suspend = || Call::post("/admin/v1/teams/design/suspend").with(OPS);
    for host in ["evil.example", "evil.example:9091", "moongate.internal.evil.example"] {
        for path in ["/metrics", "/livez", "/readyz", "/admin/v1/teams", "/"] {
            let refused = sent(&gateway, Call::get(path).with(OPS).header("host", host)).await;
            assert_eq!(refused.refusal(), (400, "invalid_request".to_owned()), "{path} as {host}");
            assert!(
                refused.text().contains("admin.hosts"),
                "it says what would be right: {}",
                refused.text()
            );
        }
        assert_eq!(sent(&gateway, suspend().header("host", host)).await.status, 400);
    }
    assert_eq!(see(&gateway, "/admin/v1/teams/design").await["suspended"], false);
    for host in
        ["localhost", "localhost:9091", "127.0.0.1:1", "[::1]:9091", "moongate.internal:443"]
    {
        assert_eq!(
            sent(&gateway, Call::get("/metrics").header("host", host)).await.status,
            200,
            "{host}"
        );
    }
    installation.change("/admin/hosts", json!(["other.internal"]));
    wait_until("the other name is known", || async {
        sent(&gateway, Call::get("/livez").header("host", "other.internal")).await.status == 200
    })
    .await;
    assert_eq!(
        sent(&gateway, Call::get("/livez").header("host", "moongate.internal")).await.status,
        400
    );
}

#[tokio::test]
async fn on_a_network_the_listener_is_called_by_any_name() {
    let firemoon = Firemoon::start();
    let installation =
        with_operators(Installation::before(&firemoon)).set("/admin/address", json!("0.0.0.0:0"));
    let gateway = Gateway::start(&installation).await;
    let port = gateway.operator().rsplit(':').next().unwrap().to_owned();
    let call = Call::get("/metrics").header("host", "moongate.monitoring.svc:9091");
    assert_eq!(call.send_uninspected(&format!("127.0.0.1:{port}")).await.status, 200);
}

/// A name that turns text around is shown escaped.
#[tokio::test]
async fn a_name_with_invisible_ends_is_refused_when_made() {
    let firemoon = Firemoon::start();
    let installation = with_operators(Installation::before(&firemoon));
    std::fs::write(installation.folder().join("ops-token"), OPS).unwrap();
    let gateway = Gateway::serve(&installation).await;
    let make = |name: &str, user: &str| {
        Call::post("/admin/v1/keys")
            .with(OPS)
            .json(&json!({ "team": "design", "name": name, "user": user }))
    };
    for (name, user) in [(" ci", "ann"), ("ci\u{a0}", "ann"), ("ci", "ann "), (" ", "ann")] {
        let refused = sent(&gateway, make(name, user)).await;
        assert_eq!(refused.refusal(), (400, "invalid_body".to_owned()), "{name:?} {user:?}");
        assert!(
            refused.text().contains("must not begin or end with white space"),
            "{}",
            refused.text()
        );
    }
    assert_eq!(sent(&gateway, make("c\u{202e}i", "ann\u{2066}")).await.status, 201);
    let (code, out, _) = moongate(&gateway, &installation, &["keys", "list"]);
    assert!(code == 0 && out.contains("c\\u{202e}i") && out.contains("ann\\u{2066}"), "{out}");
    assert!(out.chars().all(|character| character == '\n' || is_plain(character)), "{out:?}");
    wait_until("the audit line", || async {
        !gateway.lines("an operator made a change").is_empty()
    })
    .await;
    let output = gateway.output();
    let line = output.lines().find(|line| line.contains("\"admin_change\"")).unwrap();
    assert!(line.contains("c\\u202ei") && line.chars().all(is_plain), "{line}");
}
