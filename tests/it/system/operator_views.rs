//! What operators see besides the teams: the limits of every level, one call, the queue, and recent
//! changes; through any replica.

use serde_json::{Value, json};

use crate::support::caller::Connection;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{OPS, moongate, with_operators};
use crate::support::redis::{RedisServer, wait_until};

fn installation(installation: Installation) -> Installation {
    let installation = with_operators(installation);
    std::fs::write(installation.folder().join("ops-token"), OPS).unwrap();
    installation
}

/// What a command prints when all is well.
fn shown(gateway: &Gateway, installation: &Installation, arguments: &[&str]) -> String {
    let (code, out, err) = moongate(gateway, installation, arguments);
    assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}: {out}");
    out
}

/// The cells of the line that begins so.
fn line<'a>(table: &'a str, start: &str) -> Vec<&'a str> {
    let line = table.lines().find(|line| line.starts_with(start));
    line.unwrap_or_else(|| panic!("{start}: {table}")).split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_why_one_user_is_refused() {
    let firemoon = Firemoon::start();
    let mut installation = installation(Installation::before(&firemoon))
        .set("/teams/design/limits", json!({ "credits_per_day": 10 }))
        .set("/teams/design/user_limits", json!({ "credits_per_day": 0.05 }));
    let narrow = json!({ "team": "design", "name": "narrow", "limits": { "requests_per_day": 3 } });
    installation.add_key("narrow", narrow);
    let gateway = Gateway::serve(&installation).await;
    for user in ["ana", "ana", "bo"] {
        assert_eq!(gateway.send(&picture().with(&installation.token(user))).await.status, 200);
    }
    let refused = gateway.send(&picture().with(&installation.token("ana"))).await;
    assert_eq!(refused.refusal(), (402, "budget_exhausted".to_owned()));
    assert_eq!(gateway.send(&picture().with(installation.key("narrow"))).await.status, 200);

    let table = shown(&gateway, &installation, &["limits", "design"]);
    let day = "credits_per_day";
    let team = line(&table, "team");
    assert_eq!(team[1..7], ["design", "0.1", &format!("team:{day}"), "10", "0.1", "0"]);
    let ana = line(&table, "user   ana");
    assert_eq!(ana[2..8], ["0.05", &format!("user:{day}"), "0.05", "0.05", "0", "0"]);
    assert_eq!(line(&table, "user   bo")[5..8], ["0.025", "0", "0.025"]);
    let key = line(&table, "key");
    assert_eq!(key[2..7], ["(narrow)", "key:requests_per_day", "3", "1", "0"], "{table}");

    let one = shown(&gateway, &installation, &["limits", "design", "--user", "ana"]);
    assert_eq!(one.lines().count(), 2, "{one}");
    let (code, _, err) = moongate(&gateway, &installation, &["limits", "design", "--user", "eve"]);
    assert!(code == 1 && err.contains("no user \"eve\" of the team"), "{err}");
    let (code, _, err) = moongate(&gateway, &installation, &["limits", "nobody"]);
    assert!(code == 1 && err.contains("(team_not_found, request "), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_lists_who_was_refused_and_why() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = installation(Installation::on(&redis, &firemoon))
        .set("/teams/design/limits", json!({ "requests_per_day": 0 }))
        .set("/teams/growth/models", json!(["flux/pro"]));
    let (one, other) = (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    let nobody = shown(&one, &installation, &["refusals"]);
    assert_eq!(nobody.lines().count(), 1, "only titles: {nobody}");
    let first = one.send(&picture().with(installation.key("design"))).await;
    assert_eq!(first.refusal(), (429, "quota_exhausted".to_owned()));
    let listed = async |gateway: &Gateway, count: usize| {
        wait_until("the refused calls are listed", || async {
            shown(gateway, &installation, &["refusals"]).lines().count() == count + 1
        })
        .await;
    };
    listed(&other, 1).await;
    let second = other.send(&picture().with(installation.key("growth"))).await;
    assert_eq!(second.refusal(), (403, "model_not_allowed".to_owned()));
    for gateway in [&one, &other] {
        listed(gateway, 2).await;
        let all = shown(gateway, &installation, &["refusals"]);
        let lines: Vec<&str> = all.lines().skip(1).collect();
        assert!(lines[0].contains("  growth  ") && lines[0].contains("model_not_allowed"), "{all}");
        let cells: Vec<&str> = lines[1].split_whitespace().collect();
        let id = first.header("x-call-id").unwrap();
        let expected = ["flux/dev", "429", "quota_exhausted", "team:requests_per_day", id];
        assert_eq!((cells[1], cells[2]), ("design", "ci"), "by the name of the key: {all}");
        assert!(cells[3].starts_with("(key:"), "and by its id: {all}");
        assert_eq!(&cells[4..9], &expected[..], "{all}");
        let message = first.json()["message"].as_str().unwrap().to_owned();
        assert!(lines[1].ends_with(&message), "{all}");

        let one_team = shown(gateway, &installation, &["refusals", "design"]);
        assert_eq!(one_team.lines().count(), 2, "{one_team}");
        let json = |of: &[&str]| -> Value {
            serde_json::from_str(&shown(gateway, &installation, of)).unwrap()
        };
        let design = json(&["refusals", "design", "--json"]);
        assert_eq!(
            (&design["team"], &design["refusals"][0]["callId"]),
            (&json!("design"), &json!(id))
        );
        let teams = json(&["refusals", "--json"]);
        assert!(teams["teams"].as_array().unwrap().contains(&design), "{teams}");
    }
    let (code, _, err) = moongate(&one, &installation, &["refusals", "nobody"]);
    assert!(code == 1 && err.contains("(team_not_found, request "), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_finds_a_call_by_either_id() {
    let firemoon = Firemoon::start();
    let installation = installation(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    let call = picture().header("x-request-id", "workflow-7");
    let mut ids = Vec::new();
    for team in ["design", "growth"] {
        let reply = gateway.send(&call.clone().with(installation.key(team))).await;
        ids.push(reply.header("x-call-id").unwrap().to_owned());
    }
    let by_call = shown(&gateway, &installation, &["call", &ids[0]]);
    assert_eq!(line(&by_call, "Team"), ["Team", "design"]);
    assert_eq!(line(&by_call, "Cost"), ["Cost", "0.025"]);
    assert_eq!(line(&by_call, "Key"), ["Key", "ci"]);
    assert_eq!(by_call.matches("Call  ").count(), 1, "{by_call}");
    let by_request = shown(&gateway, &installation, &["call", "workflow-7", "--json"]);
    let calls: Value = serde_json::from_str(&by_request).unwrap();
    let found: Vec<&str> = calls["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["id"].as_str().unwrap())
        .collect();
    assert_eq!(found, [&ids[1], &ids[0]], "the newest first, of every team");
    // A request without an id of its own gets one from the gateway.
    let named = gateway.send(&picture().with(installation.key("design"))).await;
    let given = named.header("x-request-id").unwrap();
    let by_given = shown(&gateway, &installation, &["call", given]);
    assert_eq!(line(&by_given, "Call"), ["Call", named.header("x-call-id").unwrap()]);
    let (code, _, err) = moongate(&gateway, &installation, &["call", "nothing"]);
    assert!(code == 1 && err.contains("No call with this id is known (call_not_found"), "{err}");

    firemoon.hold().await;
    let (held, mut connection) =
        (picture().with(installation.key("design")), Connection::open(gateway.team()).await);
    let held = tokio::spawn(async move { connection.send(&held).await });
    firemoon.until_held(1).await;
    let queue = shown(&gateway, &installation, &["upstream", "queue"]);
    assert_eq!(line(&queue, "design"), ["design", "1", "0", "1"], "one runs, none waits");
    firemoon.release().await;
    assert_eq!(held.await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_who_waits_on_any_replica() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = installation(Installation::on(&redis, &firemoon))
        .set("/upstream/limits", json!({ "requests_per_month": 1000 }))
        .set("/queue", json!({ "max_wait": "1h" }))
        .set("/teams/growth/weight", json!(3));
    let (one, other) = (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    // The first call's answer says that the shared key has no room for half an hour.
    firemoon.faults(&json!([{ "fault": "rate_limited", "amount": 1800, "times": 1 }])).await;
    let mut waiting = Vec::new();
    for (gateway, team) in [(&one, "design"), (&other, "growth")] {
        let (call, mut connection) =
            (picture().with(installation.key(team)), Connection::open(gateway.team()).await);
        waiting.push(tokio::spawn(async move { connection.exchange(&call).await.ok() }));
        wait_until("it is seen to wait", || async {
            let queue = shown(&other, &installation, &["upstream", "queue"]);
            queue.matches(" flux/dev ").count() == waiting.len()
        })
        .await;
    }
    for gateway in [&one, &other] {
        let queue = shown(gateway, &installation, &["upstream", "queue"]);
        assert_eq!(line(&queue, "design"), ["design", "1", "25", "%", "1", "0"]);
        assert_eq!(line(&queue, "growth"), ["growth", "3", "75", "%", "1", "0"]);
        let limits = shown(gateway, &installation, &["upstream", "limits"]);
        assert_eq!(line(&limits, "all together"), ["all", "together", "month", "1000", "999"]);
    }
    let keys = shown(&one, &installation, &["upstream", "keys"]);
    assert!(line(&keys, "primary").contains(&"used"), "{keys}");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_listed_by_every_replica_without_secrets() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = installation(Installation::on(&redis, &firemoon));
    let (one, other) = (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    assert_eq!(shown(&one, &installation, &["changes"]).lines().count(), 1, "only titles");
    shown(&one, &installation, &["teams", "suspend", "growth"]);
    let made = ["keys", "create", "--team", "design", "--name", "laptop", "--json"];
    let made: Value = serde_json::from_str(&shown(&other, &installation, &made)).unwrap();
    let secret = made["secret"].as_str().unwrap();
    for gateway in [&one, &other] {
        let changes = shown(gateway, &installation, &["changes"]);
        let lines: Vec<&str> = changes.lines().skip(1).collect();
        assert_eq!(lines.len(), 2, "{changes}");
        assert!(lines[0].contains("  ops       create_key"), "the newest first: {changes}");
        assert!(lines[1].contains("suspend_team") && lines[1].contains("team growth"), "{changes}");
        assert!(!changes.contains(&secret[17..]), "changes show no secret: {changes}");
    }
    let (code, _, err) = moongate(&one, &installation, &["teams", "suspend", "nobody"]);
    assert!(code == 1, "{err}");
    assert_eq!(shown(&one, &installation, &["changes"]).lines().count(), 3, "nothing was changed");
}
