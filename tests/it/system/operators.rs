//! The operator's API from outside: who may do what, what is refused and how, what is logged, and
//! the commands.

use http::Method;
use moongate::identity::SecretHash;
use serde_json::{Value, json};

use crate::support::caller::{Call, Reply};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{
    OPS, WATCH, change, judged, make_key, moongate, see, soon, with_operators,
};
use crate::support::redis::wait_until;

pub(super) async fn world() -> (Firemoon, Installation, Gateway) {
    let firemoon = Firemoon::start();
    let installation = with_operators(Installation::before(&firemoon));
    let mut gateway = Gateway::serve(&installation).await;
    [OPS, WATCH].iter().for_each(|token| gateway.forbid(token));
    (firemoon, installation, gateway)
}

pub(super) async fn sent(gateway: &Gateway, call: Call) -> Reply {
    let reply = call.send_uninspected(gateway.operator()).await;
    assert!(
        reply.header("x-request-id").is_some() && reply.header("cache-control") == Some("no-store")
    );
    if reply.status >= 400 {
        assert_eq!(reply.json()["requestId"].as_str(), reply.header("x-request-id"));
    }
    reply
}

/// The lines of changes, in order.
pub(super) fn audit(gateway: &Gateway) -> Vec<Value> {
    gateway.lines("an operator made a change")
}

#[tokio::test]
async fn read_only_operators_and_strangers_can_change_nothing() {
    let (_firemoon, installation, gateway) = world().await;
    let suspend = || Call::post("/admin/v1/teams/design/suspend");
    assert_eq!(
        sent(&gateway, suspend().with(WATCH)).await.refusal(),
        (403, "role_not_allowed".to_owned())
    );
    assert_eq!(sent(&gateway, suspend()).await.refusal(), (401, "credential_missing".to_owned()));
    for wrong in ["guess", installation.key("design"), &SecretHash::of(OPS).to_hex()] {
        for path in ["/admin/v1/teams", "/admin/v1/nothing", "/admin/"] {
            let refused = sent(&gateway, Call::get(path).with(wrong)).await;
            assert_eq!(refused.refusal(), (401, "credential_invalid".to_owned()), "{path}");
        }
    }
    assert_eq!(see(&gateway, "/admin/v1/teams/design").await["suspended"], false);
    assert!(audit(&gateway).is_empty());
    assert_eq!(judged(&gateway, installation.key("design")).await, "200");
    assert_eq!(
        gateway.send(&Call::get("/admin/v1/teams").with(OPS)).await.refusal().1,
        "route_not_found"
    );
}

#[tokio::test]
async fn a_wrong_change_is_explained_and_changes_nothing() {
    let (_firemoon, _installation, gateway) = world().await;
    wrong_keys_are_explained(&gateway).await;
    wrong_paths_are_explained(&gateway).await;
    wrong_methods_are_explained(&gateway).await;
    assert!(audit(&gateway).is_empty());
    let configured = see(&gateway, "/admin/v1/keys").await;
    assert!(
        configured["keys"].as_array().unwrap().iter().all(|key| key["source"] == "configuration")
    );
}

async fn wrong_keys_are_explained(gateway: &Gateway) {
    let keys = || Call::post("/admin/v1/keys").with(OPS);
    let refused = sent(
        gateway,
        keys().json(&json!({
            "team": "nobody",
            "name": "",
            "user": "",
            "models": ["a b"],
            "expires_at": "2001-01-01T00:00:00Z",
            "limits": { "requests_per_dya": 1, "concurrent": -3 },
        })),
    )
    .await;
    assert_eq!(refused.refusal(), (400, "invalid_body".to_owned()));
    let problems = refused.json()["errors"].as_array().unwrap().len();
    assert_eq!(problems, 7, "{}", refused.text());
    for wrong in [
        "",
        "[]",
        "{",
        "null",
        "{\"team\":\"design\"}",
        "{\"team\":\"design\",\"name\":\"x\",\"nmae\":1}",
    ] {
        assert_eq!(
            sent(gateway, keys().text(wrong)).await.refusal(),
            (400, "invalid_body".to_owned()),
            "{wrong}"
        );
    }
    let (status, code) = sent(gateway, keys().bytes("{}")).await.refusal();
    assert_eq!((status, code.as_str()), (415, "media_type_unsupported"));
    let (status, code) = sent(gateway, keys().text(&" ".repeat(70_000))).await.refusal();
    assert_eq!((status, code.as_str()), (413, "body_too_large"));
}

async fn wrong_paths_are_explained(gateway: &Gateway) {
    for (path, code) in [
        ("/admin/v1/teams/nobody/suspend", "team_not_found"),
        ("/admin/v1/teams/-/suspend", "team_not_found"),
        ("/admin/v1/keys/000000000000/revoke", "key_not_found"),
        ("/admin/v1/keys/short/rotate", "key_not_found"),
        ("/admin/v1/keys/000000000000/destroy", "route_not_found"),
    ] {
        assert_eq!(
            sent(gateway, Call::post(path).with(OPS)).await.refusal(),
            (404, code.to_owned()),
            "{path}"
        );
    }
    for path in ["/admin/v1/teams/..", "/admin/v1/%2e%2e", "/admin/v1/teams%2fdesign"] {
        assert_eq!(
            sent(gateway, Call::get(path).with(OPS)).await.refusal(),
            (400, "invalid_path".to_owned()),
            "{path}"
        );
    }
    let odd = sent(gateway, Call::get("/admin/v1/keys?taem=design").with(OPS)).await;
    assert_eq!(odd.refusal(), (400, "invalid_request".to_owned()));
}

async fn wrong_methods_are_explained(gateway: &Gateway) {
    for (method, path, allow) in [
        (Method::DELETE, "/admin/v1/keys", "GET, HEAD, POST"),
        (Method::POST, "/admin/v1/teams", "GET, HEAD"),
        (Method::GET, "/admin/v1/teams/design/suspend", "POST"),
    ] {
        let reply = sent(gateway, Call::new(method, path).with(OPS)).await;
        assert_eq!(
            (reply.refusal().1.as_str(), reply.header("allow")),
            ("method_not_allowed", Some(allow)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_configured_key_is_shown_and_changed_only_there() {
    let (_firemoon, installation, gateway) = world().await;
    let id = installation.key("design").split('_').nth(1).unwrap().to_owned();
    let shown = see(&gateway, &format!("/admin/v1/keys/{id}")).await;
    assert_eq!(
        (&shown["source"], &shown["team"], &shown["state"]),
        (&json!("configuration"), &json!("design"), &json!("active"))
    );
    for verb in ["rotate", "revoke"] {
        let refused =
            sent(&gateway, Call::post(&format!("/admin/v1/keys/{id}/{verb}")).with(OPS)).await;
        assert_eq!(refused.refusal(), (409, "key_conflict".to_owned()));
    }
    let (_, id) = make_key(&gateway, json!({ "team": "design", "name": "ci" })).await;
    change(&gateway, &format!("/admin/v1/keys/{id}/revoke"), json!({})).await;
    let refused =
        sent(&gateway, Call::post(&format!("/admin/v1/keys/{id}/rotate")).with(OPS)).await;
    assert_eq!(refused.json()["message"], "The key is revoked");
}

#[tokio::test]
async fn a_token_file_that_changes_is_taken_up_while_running() {
    let (_firemoon, installation, gateway) = world().await;
    let teams = |token: &'static str| sent(&gateway, Call::get("/admin/v1/teams").with(token));
    assert_eq!(teams(OPS).await.status, 200);
    let next = "another-token-7c1d";
    std::fs::write(installation.folder().join("ops.sha256"), SecretHash::of(next).to_hex())
        .unwrap();
    wait_until("the new token is good", || async { teams(next).await.status == 200 }).await;
    assert_eq!(teams(OPS).await.refusal().1, "credential_invalid");
}

#[tokio::test]
async fn shared_keys_and_limits_are_shown_as_they_stand() {
    let firemoon = Firemoon::start();
    let limits = json!({ "requests_per_day": 5, "credits_per_month": 2 });
    let installation =
        with_operators(Installation::before(&firemoon).set("/teams/design/limits", limits));
    let gateway = Gateway::serve(&installation).await;
    assert_eq!(gateway.send(&picture().with(installation.key("design"))).await.status, 200);
    let team = see(&gateway, "/admin/v1/teams/design").await;
    let limit = |name: &str| {
        team["limits"].as_array().unwrap().iter().find(|one| one["limit"] == name).unwrap().clone()
    };
    let calls = limit("team:requests_per_day");
    assert_eq!(
        [&calls["max"], &calls["used"], &calls["remaining"]],
        [&json!(5), &json!(1), &json!(4)]
    );
    let credits = limit("team:credits_per_month");
    assert_eq!([&credits["used"], &credits["remaining"]], [&json!(0.025), &json!(1.975)]);
    assert!(credits["reset"].is_string());
    let keys = see(&gateway, "/admin/v1/upstream-keys").await;
    assert_eq!(
        keys["keys"],
        json!([{ "name": "primary", "weight": 1, "healthy": true, "resting": null }])
    );
}

/// The operator takes the access away again.
#[tokio::test]
async fn an_operator_grants_access_with_one_change_and_command() {
    let (firemoon, mut installation, mut gateway) = world().await;
    std::fs::write(installation.folder().join("ops-token"), format!("{OPS}\n")).unwrap();
    // The change: the README's lines under `teams`.
    let readme = std::fs::read_to_string("README.md").unwrap();
    let (_, section) = readme.split_once("## Give a team access").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let yaml = section.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let team: Value = serde_saphyr::from_str(yaml).unwrap();
    let mut teams = json!({
        "design": { "models": ["*"] },
        "growth": { "models": ["*"] },
        "closed": { "models": ["*"] },
    });
    teams["brand"] = team["teams"]["brand"].clone();
    installation.change("/teams", teams);
    wait_until("the team is known", || async {
        see(&gateway, "/admin/v1/teams").await["teams"]
            .as_array()
            .unwrap()
            .iter()
            .any(|team| team["team"] == "brand")
    })
    .await;
    // The commands: every line of the section's shell blocks, in order.
    let lines: Vec<&str> = section
        .split("```sh\n")
        .skip(1)
        .flat_map(|block| block.split("```").next().unwrap().lines())
        .filter(|line| line.starts_with("moongate "))
        .collect();
    let (mut key, mut id) = (String::new(), String::new());
    for line in &lines {
        let command = line.split('#').next().unwrap().replace("k7Qp2mZr9aBc", &id);
        let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
        let (code, out, err) = moongate(&gateway, &installation, &arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{command}: {out}");
        if let Some(shown) =
            out.lines().find_map(|line| line.strip_prefix("The key, shown this once: "))
        {
            key = shown.to_owned();
            id = key.split('_').nth(1).unwrap().to_owned();
            gateway.forbid(key.rsplit('_').next().unwrap());
            assert_eq!(gateway.send(&picture().with(&key)).await.status, 200, "{command}");
        }
        let expected = match arguments[1] {
            "suspend" => "team_suspended",
            "revoke" => "credential_revoked",
            _ => "200",
        };
        soon(&gateway, &key, expected).await;
    }
    for verb in ["create", "list", "rotate", "revoke", "suspend", "resume", "show"] {
        assert!(
            lines.iter().any(|line| line.split_whitespace().nth(2) == Some(verb)),
            "the README does not say {verb}"
        );
    }
    assert!(firemoon.executed().await >= 2);
}

#[tokio::test]
async fn a_failed_command_explains_itself_and_its_exit_code() {
    let (_firemoon, installation, gateway) = world().await;
    let run = |arguments: &[&str]| moongate(&gateway, &installation, arguments);
    let (code, _, err) = run(&["keys", "list"]);
    assert!(code == 2 && err.contains("ops-token cannot be read"), "{err}");
    std::fs::write(installation.folder().join("ops-token"), OPS).unwrap();
    let (code, out, err) = run(&[
        "keys",
        "create",
        "--team",
        "nobody",
        "--name",
        "x",
        "--limit",
        "requests_per_dya=1",
    ]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.contains("there is no team \"nobody\"")
            && err.contains("did you mean requests_per_day?"),
        "{err}"
    );
    let (code, _, err) = run(&["keys", "revoke", "000000000000"]);
    assert!(code == 1 && err.contains("(key_not_found, request "), "{err}");
    let (code, _, err) = run(&["teams", "list", "--admin", "http://127.0.0.1:1"]);
    assert!(code == 1 && err.contains("127.0.0.1:1"), "{err}");
    for wrong in ["ftp://x", "127.0.0.1:9091", "http://user@127.0.0.1", "http://127.0.0.1/path"] {
        assert_eq!(run(&["teams", "list", "--admin", wrong]).0, 2, "{wrong}");
    }
    let (code, out, _) = run(&[
        "keys",
        "create",
        "--team",
        "design",
        "--name",
        "ci",
        "--limit",
        "credits_per_day=2.50",
        "--model",
        "flux/*",
        "--json",
    ]);
    let made: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &made["key"]["limits"]), (0, &json!({ "credits_per_day": "2.50" })));
    let (code, out, _) = run(&["keys", "list", "--team", "design"]);
    assert!(code == 0 && out.starts_with("ID ") && out.lines().count() == 3, "{out}");
    let (code, out, _) = run(&["teams", "list"]);
    assert!(code == 0 && out.contains("closed  suspended by the configuration"), "{out}");
    std::fs::write(installation.folder().join("ops-token"), WATCH).unwrap();
    let (code, _, err) = run(&["teams", "suspend", "design"]);
    assert!(code == 1 && err.contains("role_not_allowed"), "{err}");
}

/// The report shows no secret that was given before.
#[tokio::test]
async fn a_rotation_reports_each_older_secrets_fate() {
    let (_firemoon, installation, gateway) = world().await;
    std::fs::write(installation.folder().join("ops-token"), OPS).unwrap();
    let (whole, id) = make_key(&gateway, json!({ "team": "design", "name": "laptop" })).await;
    let rotate = |arguments: &[&str]| {
        let (code, out, err) =
            moongate(&gateway, &installation, &[&["keys", "rotate", &id], arguments].concat());
        assert_eq!((code, err.as_str()), (0, ""));
        let lines: Vec<String> = out.lines().skip(2).map(str::to_owned).collect();
        lines
    };
    let lines = rotate(&["--overlap", "24h"]);
    assert!(lines.len() == 1 && lines[0].starts_with("The old one is good until 2"), "{lines:?}");
    let lines = rotate(&["--overlap", "1h"]);
    assert!(lines.len() == 2 && lines[1].starts_with("An older one is good until 2"), "{lines:?}");
    assert!(lines[1].ends_with(", as promised"), "{lines:?}");
    assert_eq!(rotate(&["--overlap", "0s", "--end-older"]), ["The old one is not good any more"]);
    let (code, _, err) =
        moongate(&gateway, &installation, &["keys", "rotate", &id, "--overlap", "91d"]);
    assert_eq!(code, 2);
    assert!(err.contains("from 0 to 7776000, which are 90 days"), "{err}");

    for command in ["rotate", "revoke"] {
        let (code, out, err) = moongate(&gateway, &installation, &["keys", command, &whole]);
        assert_eq!((code, out.as_str()), (2, ""));
        let why =
            "moongate: a key's id is the 12 letters and digits after mgk_, without the secret\n";
        assert_eq!(err, why, "the secret is not repeated");
    }
}
