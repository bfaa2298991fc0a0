//! Calls that were refused lately: the team and its operators see who was refused what, and by
//! which limit, whichever replica refused it.

use serde_json::{Value, json};

use crate::support::caller::{Call, generate};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{see, with_operators};
use crate::support::redis::{RedisServer, wait_until};

const LIST: &str = "/admin/v1/teams/design/refusals";

/// The team's list.
async fn list(gateway: &Gateway, key: &str) -> Vec<Value> {
    let reply = gateway.send(&Call::get("/gateway/v1/refusals").with(key)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["refusals"].as_array().unwrap().clone()
}

/// The team's list, once it has so many.
async fn listed(gateway: &Gateway, key: &str, count: usize) -> Vec<Value> {
    wait_until("the refused calls are listed", || async {
        list(gateway, key).await.len() == count
    })
    .await;
    list(gateway, key).await
}

fn strict(installation: Installation) -> Installation {
    with_operators(installation)
        .set("/teams/design/limits", json!({ "credits_total": 100 }))
        .set("/teams/design/user_limits", json!({ "requests_per_day": 1 }))
        .set("/teams/design/models", json!(["flux/dev"]))
}

#[tokio::test]
async fn refused_calls_are_listed_with_their_limit_on_every_replica() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = strict(Installation::on(&redis, &firemoon));
    let (one, other) = (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    let key = installation.key("design");
    assert_eq!(one.send(&picture().with(key)).await.status, 200);
    let refused = one.send(&picture().with(key).header("x-request-id", "night-run")).await;
    assert_eq!(refused.refusal(), (429, "quota_exhausted".to_owned()));
    let pro = generate("flux/pro", &json!({ "prompt": "x" })).with(key);
    assert_eq!(other.send(&pro).await.refusal(), (403, "model_not_allowed".to_owned()));

    for gateway in [&one, &other] {
        let list = listed(gateway, key, 2).await;
        let by_limit = list.iter().find(|call| call["requestId"] == "night-run").unwrap();
        assert_eq!(
            (&by_limit["code"], &by_limit["limit"], &by_limit["status"]),
            (&json!("quota_exhausted"), &json!("user:requests_per_day"), &json!(429))
        );
        assert_eq!(by_limit["callId"], json!(refused.header("x-call-id").unwrap()));
        assert_eq!(by_limit["message"], refused.json()["message"]);
        assert_eq!(by_limit["keyId"].as_str().map(str::len), Some(12));
        let by_model = list.iter().find(|call| call["code"] == "model_not_allowed").unwrap();
        assert_eq!((&by_model["endpoint"], &by_model["limit"]), (&json!("flux/pro"), &Value::Null));
        assert_eq!(see(gateway, LIST).await["refusals"], Value::Array(list));
    }
    let others = listed(&one, installation.key("growth"), 0).await;
    assert_eq!(others, Vec::<Value>::new(), "another team's calls are its own");
}

/// Attempts of strangers and reading of views are not calls of the team.
#[tokio::test]
async fn only_the_teams_calls_are_listed_a_hundred_at_most() {
    let firemoon = Firemoon::start();
    let installation = strict(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    assert_eq!(gateway.send(&picture().with("mgk_nobody")).await.status, 401);
    assert_eq!(gateway.send(&Call::get("/gateway/v1/nothing").with(key)).await.status, 404);
    assert_eq!(gateway.send(&picture().with(key)).await.status, 200);
    // The newest twenty of a team are kept each second.
    for batch in 0..6 {
        let ids: Vec<String> = (0..20).rev().map(|number| format!("r{batch}-{number}")).collect();
        for id in ids.iter().rev() {
            let refused = gateway.send(&picture().with(key).header("x-request-id", id)).await;
            assert_eq!(refused.status, 429, "{}", refused.text());
        }
        let newest = async || {
            let list = list(&gateway, key).await;
            let ids = list.iter().map(|call| call["requestId"].as_str().unwrap().to_owned());
            ids.collect::<Vec<_>>()
        };
        wait_until("the newest is listed", || async { newest().await.first() == ids.first() })
            .await;
        let listed = newest().await;
        assert_eq!(listed[..20], ids);
        assert_eq!(listed.len(), (20 * (batch + 1)).min(100));
    }
}
