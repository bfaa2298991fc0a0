//! A store that has lost everything, where budgets are to stay closed: an operator accepts it, and
//! every replica opens.

use serde_json::{Value, json};

use super::spending::limit_status;
use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{OPS, WATCH, moongate, see, with_operators};
use crate::support::redis::{RedisServer, wait_until};

fn held(redis: &RedisServer, firemoon: &Firemoon) -> Installation {
    let ledger = json!({ "redis": { "url": redis.url(), "deadline": "20s" }, "on_loss": "hold" });
    let installation = with_operators(Installation::before(firemoon))
        .set("/ledger", ledger)
        .set("/teams/design/limits", json!({ "credits_total": 1 }));
    std::fs::write(installation.folder().join("ops-token"), OPS).unwrap();
    installation
}

async fn outcome(gateway: &Gateway, key: &str) -> String {
    let reply = gateway.send(&picture().with(key)).await;
    if reply.status == 200 { "200".to_owned() } else { reply.refusal().1 }
}

async fn is_listed_as_closed(gateway: &Gateway) -> bool {
    let closed = gateway.readiness().await.1["closed_teams"].clone();
    closed.as_array().is_some_and(|closed| closed.contains(&json!("design")))
}

fn assert_the_acceptance_is_logged(line: &Value) {
    assert_eq!(
        [&line["before"], &line["after"]],
        [&json!({ "closed": true }), &json!({ "closed": false })]
    );
    assert_eq!((&line["subject"], &line["result"]), (&json!("team design"), &json!("done")));
}

/// The budgets open on every replica.
#[tokio::test]
async fn budgets_held_after_a_loss_open_once_accepted() {
    let (redis, firemoon) = (RedisServer::brand_new(), Firemoon::start());
    let installation = held(&redis, &firemoon);
    let (one, other) = (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    let (design, growth) = (installation.key("design"), installation.key("growth"));
    assert_eq!(
        outcome(&one, design).await,
        "ledger_unavailable",
        "an empty store may be a lost one"
    );
    let (code, out, err) = moongate(&other, &installation, &["teams", "accept-loss", "--all"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "What is left of them is accepted, their budgets are open: closed, design, growth\n"
    );
    for gateway in [&one, &other] {
        assert_eq!(
            (outcome(gateway, design).await, outcome(gateway, growth).await),
            ("200".into(), "200".into())
        );
    }

    redis.run(&["FLUSHALL"]).await;
    for gateway in [&one, &other] {
        assert_eq!(outcome(gateway, design).await, "ledger_unavailable");
        wait_until("the closed team is listed", || is_listed_as_closed(gateway)).await;
        assert_eq!(gateway.readiness().await.0, 200, "the team is refused by every replica alike");
        let team = see(gateway, "/admin/v1/teams/design").await;
        assert_eq!(
            [&team["closed"], &team["open"], &team["limits"]],
            [&json!(true), &json!(null), &json!([])]
        );
    }
    let (code, out, _) = moongate(&one, &installation, &["teams", "list"]);
    assert!(code == 0 && out.contains("closed: the ledger's store has lost writes"), "{out}");
    let (code, out, err) = moongate(&other, &installation, &["teams", "accept-loss", "design"]);
    assert_eq!(
        (code, out.as_str()),
        (0, "What is left of them is accepted, their budgets are open: design\n"),
        "{err}"
    );
    for gateway in [&one, &other] {
        assert_eq!(outcome(gateway, design).await, "200");
        let is_listed_as_open = || async { !is_listed_as_closed(gateway).await };
        wait_until("the team is listed no more", is_listed_as_open).await;
    }
    let status = limit_status(&one, design, "team:credits_total").await;
    assert_eq!(status["used"], 0.1, "what both had counted counts again: {status}");
    assert_eq!(
        outcome(&one, growth).await,
        "ledger_unavailable",
        "no operator has accepted the loss"
    );
    let (code, out, _) = moongate(&other, &installation, &["teams", "accept-loss", "design"]);
    assert_eq!((code, out.as_str()), (0, "No budgets were closed: nothing changed\n"));

    let accepted = |line: &Value| line["action"] == "accept_loss";
    let line = other.line_written("an operator made a change", accepted).await;
    assert_the_acceptance_is_logged(&line);
}

#[tokio::test]
async fn a_loss_is_accepted_only_with_rights_and_a_team() {
    let firemoon = Firemoon::start();
    let installation = with_operators(Installation::before(&firemoon));
    std::fs::write(installation.folder().join("ops-token"), OPS).unwrap();
    let gateway = Gateway::serve(&installation).await;
    let accept = async |path: &str, token: &str, body: &str| {
        let call = Call::post(path).with(token).text(body);
        call.send_uninspected(gateway.operator()).await
    };
    for path in ["/admin/v1/teams/design/accept-loss", "/admin/v1/accept-loss"] {
        assert_eq!(accept(path, WATCH, "{}").await.refusal(), (403, "role_not_allowed".to_owned()));
        assert_eq!(
            accept(path, OPS, "{\"force\":true}").await.refusal(),
            (400, "invalid_body".to_owned())
        );
    }
    let nobody = accept("/admin/v1/teams/nobody/accept-loss", OPS, "{}").await;
    assert_eq!(nobody.refusal(), (404, "team_not_found".to_owned()));
    let nothing = accept("/admin/v1/accept-loss", OPS, "{}").await;
    assert_eq!(
        (nothing.status, nothing.json()),
        (200, json!({ "accepted": [] })),
        "a file of its own loses nothing"
    );
    for wrong in [&["teams", "accept-loss"][..], &["teams", "accept-loss", "design", "--all"]] {
        assert_eq!(moongate(&gateway, &installation, wrong).0, 2);
    }
}
