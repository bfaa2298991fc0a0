//! Prepaid budgets: topped up while running, by command, once for each id, and seen in every view
//! of the limit.

use serde_json::{Value, json};

use super::spending::limit_status;
use crate::support::caller::{Call, Reply};
use crate::support::firemoon::{Firemoon, picture, pictures};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{OPS, WATCH, change, make_key, moongate, see, with_operators};
use crate::support::redis::{RedisServer, wait_until};

/// A team with a prepaid budget for one picture, its users each with one for two.
fn prepaid(installation: Installation) -> Installation {
    let installation = with_operators(installation)
        .set("/teams/design/limits", json!({ "credits_total": 0.025, "requests_per_minute": 1000 }))
        .set("/teams/design/user_limits", json!({ "credits_total": "0.05" }));
    std::fs::write(installation.folder().join("ops-token"), OPS).unwrap();
    installation
}

async fn refused(gateway: &Gateway, credential: &str) -> String {
    let reply = gateway.send(&picture().with(credential)).await;
    assert_eq!(reply.refusal(), (402, "budget_exhausted".to_owned()));
    reply.json()["message"].as_str().unwrap().to_owned()
}

async fn top_up(gateway: &Gateway, body: Value) -> Reply {
    let call = Call::post("/admin/v1/teams/design/topup").with(OPS).json(&body);
    call.send_uninspected(gateway.operator()).await
}

/// The team goes on on every replica.
#[tokio::test]
async fn an_exhausted_team_goes_on_once_topped_up() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = prepaid(Installation::on(&redis, &firemoon));
    let (one, other) = (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    let key = installation.key("design");
    assert_eq!(one.send(&picture().with(key)).await.status, 200);
    let message = refused(&other, key).await;
    assert!(
        message.contains("team:credits_total allows 0.025: 0.025 used, 0 reserved"),
        "{message}"
    );
    assert!(
        message.contains("it does not reset: the operators of this gateway can top it up"),
        "{message}"
    );

    let topup = ["teams", "topup", "design", "0.05", "--id", "invoice-7"];
    let (code, out, err) = moongate(&one, &installation, &topup);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let expected = "Team design: the top-up invoice-7 of 0.05 is added\n\
                team:credits_total allows 0.075: 0.025 configured, 0.05 topped up\n";
    assert_eq!(out, expected);
    let (code, out, _) = moongate(&other, &installation, &topup);
    assert!(code == 0 && out.contains("was added before"), "{out}");

    let status = limit_status(&other, key, "team:credits_total").await;
    assert_eq!([&status["max"], &status["toppedUp"], &status["remaining"]], [0.075, 0.05, 0.05]);
    let balance = other.send(&Call::get("/api/credits/balance").with(key)).await.json();
    assert_eq!(balance["balance"], 0.025, "the user's own budget is the tighter one: {balance}");
    let reply = other.send(&picture().with(key)).await;
    assert_eq!((reply.status, reply.header("x-credits-remaining")), (200, Some("0")));
    let message = refused(&one, key).await;
    assert!(message.contains("user:credits_total allows 0.05: 0.05 used"), "{message}");

    let user = limit_of_team(&one).await;
    assert_eq!([&user["max"], &user["toppedUp"], &user["used"]], [0.075, 0.05, 0.05]);
    let limit = r#"moongate_limit{team="design",limit="team:credits_total"}"#;
    wait_until("the gauge tells the limit as it is now", || async {
        other.metric(limit).await == Some(0.075)
    })
    .await;
}

async fn limit_of_team(gateway: &Gateway) -> Value {
    let team = see(gateway, "/admin/v1/teams/design").await;
    team["limits"]
        .as_array()
        .unwrap()
        .iter()
        .find(|limit| limit["limit"] == "team:credits_total")
        .unwrap()
        .clone()
}

#[tokio::test]
async fn top_ups_outlive_a_changed_limit_and_a_restart() {
    let firemoon = Firemoon::start();
    let mut installation = prepaid(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    assert_eq!(top_up(&gateway, json!({ "id": "a", "credits": "0.1" })).await.status, 200);
    installation.change("/teams/design/limits", json!({ "credits_total": 0.2 }));
    wait_until("the limit is changed", || async {
        limit_of_team(&gateway).await["max"] == json!(0.3)
    })
    .await;
    assert!(gateway.stop().await.success());
    let gateway = Gateway::serve(&installation).await;
    let status = limit_of_team(&gateway).await;
    assert_eq!([&status["max"], &status["toppedUp"]], [0.3, 0.1]);
    let again = top_up(&gateway, json!({ "id": "a", "credits": 0.1 })).await.json();
    assert_eq!(
        (&again["added"], &again["max"], &again["configured"]),
        (&json!(false), &json!(0.3), &json!(0.2))
    );
}

#[tokio::test]
async fn a_user_and_a_key_are_topped_up_by_themselves() {
    let firemoon = Firemoon::start();
    let installation =
        prepaid(Installation::before(&firemoon)).set("/teams/design/limits", json!({}));
    let mut gateway = Gateway::serve(&installation).await;
    let (ann, bob) = (installation.token("ann"), installation.token("bob"));
    let limits = json!({ "credits_total": "0.025" });
    let (key, id) =
        make_key(&gateway, json!({ "team": "design", "name": "ci", "limits": limits })).await;
    gateway.forbid(key.rsplit('_').next().unwrap());
    for credential in [&ann, &bob] {
        assert_eq!(gateway.send(&pictures(2).with(credential)).await.status, 200);
        assert!(refused(&gateway, credential).await.contains("user:credits_total"));
    }
    assert_eq!(gateway.send(&picture().with(&key)).await.status, 200);
    assert!(refused(&gateway, &key).await.contains("key:credits_total allows 0.025"));
    let (code, out, err) =
        moongate(&gateway, &installation, &["teams", "topup", "design", "0.025", "--user", "ann"]);
    assert!(code == 0 && out.contains("user:credits_total allows 0.075"), "{out}{err}");
    let (code, out, err) = moongate(
        &gateway,
        &installation,
        &["teams", "topup", "design", "0.025", "--key", &id, "--json"],
    );
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &answer["limit"], &answer["max"]),
        (0, &json!("key:credits_total"), &json!(0.05)),
        "{err}"
    );
    assert_eq!(gateway.send(&picture().with(&ann)).await.status, 200);
    assert!(refused(&gateway, &ann).await.contains("user:credits_total allows 0.075"));
    refused(&gateway, &bob).await;
    assert_eq!(gateway.send(&picture().with(&key)).await.status, 200);
    assert!(
        refused(&gateway, &key).await.contains("user:credits_total allows 0.05"),
        "the key's user comes next"
    );
}

#[tokio::test]
async fn a_wrong_top_up_is_explained_and_adds_nothing() {
    let firemoon = Firemoon::start();
    let installation = prepaid(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    refuses_wrong_amounts(&gateway).await;
    refuses_wrong_targets(&gateway, &installation).await;
    explains_failed_commands(&gateway, &installation);
    let written = || gateway.lines("an operator made a change").len();
    wait_until("what was added is written down", || async { written() > 0 }).await;
    assert_eq!(written(), 1, "and nothing else");
}

async fn refuses_wrong_amounts(gateway: &Gateway) {
    for (body, why) in [
        (json!({}), "missing field `id`"),
        (json!({ "id": "a" }), "missing field `credits`"),
        (json!({ "id": "a b", "credits": 1 }), "id: must be"),
        (json!({ "id": "a", "credits": -1 }), "credits: a top-up is never taken back"),
        (json!({ "id": "a", "credits": "0.0000001" }), "six decimal places"),
        (json!({ "id": "a", "credits": 1, "users": "ann" }), "unknown field `users`"),
        (json!({ "id": "a", "credits": 1, "user": "" }), "user: must be"),
    ] {
        let reply = top_up(gateway, body.clone()).await;
        assert_eq!(reply.refusal(), (400, "invalid_body".to_owned()), "{body}");
        assert!(reply.text().contains(why), "{}", reply.text());
    }
    let most = json!({ "id": "most", "credits": 1_000_000_000 });
    assert_eq!(
        top_up(gateway, most).await.json()["max"],
        1_000_000_000,
        "the largest amount there is"
    );
    let more = top_up(gateway, json!({ "id": "more", "credits": "0.000001" })).await;
    assert!(
        more.refusal().0 == 400 && more.text().contains("at most 1000000000"),
        "{}",
        more.text()
    );
    let taken = top_up(gateway, json!({ "id": "most", "credits": 1 })).await;
    assert_eq!(taken.refusal(), (409, "topup_conflict".to_owned()));
}

async fn refuses_wrong_targets(gateway: &Gateway, installation: &Installation) {
    let top_up = |team: &str, token: &'static str, body: Value| {
        let call = Call::post(&format!("/admin/v1/teams/{team}/topup")).with(token).json(&body);
        async move { call.send_uninspected(gateway.operator()).await }
    };
    let body = json!({ "id": "b", "credits": 1 });
    assert_eq!(
        top_up("nobody", OPS, body.clone()).await.refusal(),
        (404, "team_not_found".to_owned())
    );
    assert_eq!(
        top_up("design", WATCH, body.clone()).await.refusal(),
        (403, "role_not_allowed".to_owned())
    );
    let without = top_up("growth", OPS, body).await;
    assert_eq!(without.refusal(), (409, "topup_conflict".to_owned()));
    assert_eq!(
        without.json()["message"],
        "The team has no prepaid budget: limits.credits_total is not configured"
    );
    for (team, key) in [("growth", "design"), ("design", "design")] {
        let key = installation.key(key).split('_').nth(1).unwrap().to_owned();
        let refused =
            top_up(team, OPS, json!({ "id": "c", "credits": 1, "key": key })).await.refusal();
        assert_eq!(refused.0, if team == "growth" { 404 } else { 409 }, "{refused:?}");
    }
}

fn explains_failed_commands(gateway: &Gateway, installation: &Installation) {
    let (code, _, err) = moongate(gateway, installation, &["teams", "topup", "design", "-5"]);
    assert_eq!(code, 2, "{err}");
    let (code, _, err) = moongate(gateway, installation, &["teams", "topup", "growth", "5"]);
    assert!(code == 1 && err.contains("no prepaid budget") && !err.contains("--id"), "{err}");
    let unanswered = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", unanswered.local_addr().unwrap());
    let closing = std::thread::spawn(move || drop(unanswered.accept()));
    let (code, _, err) =
        moongate(gateway, installation, &["teams", "topup", "growth", "5", "--admin", &silent]);
    closing.join().unwrap();
    assert!(
        code == 1 && err.contains("it is not known whether it was added; to try again: --id "),
        "{err}"
    );
    let (code, _, err) =
        moongate(gateway, installation, &["teams", "topup", "growth", "5", "--admin", &silent]);
    assert!(code == 1 && !err.contains("--id"), "nothing was sent: {err}");
}

#[tokio::test]
async fn a_top_up_is_logged_with_before_and_after() {
    let firemoon = Firemoon::start();
    let installation = prepaid(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    for (id, user) in [("a", None), ("b", None), ("a", None), ("c", Some("ann"))] {
        change(
            &gateway,
            "/admin/v1/teams/design/topup",
            json!({ "id": id, "credits": 1, "user": user }),
        )
        .await;
    }
    let written = || gateway.lines("an operator made a change");
    wait_until("four lines are written", || async { written().len() == 4 }).await;
    let changes: Vec<(Value, Value, Value)> = written()
        .iter()
        .map(|line| {
            (line["subject"].clone(), line["before"]["max"].clone(), line["after"]["max"].clone())
        })
        .collect();
    let team = json!("team design");
    assert_eq!(
        changes,
        [
            (team.clone(), json!(0.025), json!(1.025)),
            (team.clone(), json!(1.025), json!(2.025)),
            (team, json!(2.025), json!(2.025)),
            (json!("user ann of team design"), json!(0.05), json!(1.05)),
        ]
    );
    let line = &written()[0];
    assert_eq!((&line["action"], &line["operator"]), (&json!("top_up_team"), &json!("ops")));
    assert_eq!((&line["after"]["top_up"], &line["after"]["topped_up"]), (&json!("a"), &json!(1)));
}
