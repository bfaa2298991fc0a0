//! Audit lines: every change by an operator, and every change that an operator is refused.

use moongate::identity::SecretHash;
use serde_json::{Value, json};

use super::operators::{audit, sent, world};
use crate::support::caller::Call;
use crate::support::operator::{OPS, WATCH, change, make_key, see};
use crate::support::redis::wait_until;

#[tokio::test]
async fn a_refused_change_leaves_an_audit_line() {
    let (_firemoon, _installation, gateway) = world().await;
    let refusals = [
        ("/admin/v1/teams/design/suspend", WATCH, "watch", "suspend_team", "role_not_allowed"),
        ("/admin/v1/teams/nobody/resume", OPS, "ops", "resume_team", "team_not_found"),
        ("/admin/v1/keys", OPS, "ops", "create_key", "invalid_body"),
    ];
    for (path, token, ..) in refusals {
        sent(&gateway, Call::post(path).with(token).json(&json!({}))).await;
    }
    // Reading is no change, whatever comes of it.
    sent(&gateway, Call::get("/admin/v1/teams/nobody").with(OPS)).await;
    let refused = || gateway.lines("an operator's change was refused");
    wait_until("the lines are written", || async { refused().len() == refusals.len() }).await;
    for (line, (path, _, operator, action, code)) in refused().iter().zip(refusals) {
        let members = ["event", "operator", "action", "path", "code", "from"];
        let expected = ["admin_change_refused", operator, action, path, code, "127.0.0.1"];
        assert_eq!(members.map(|member| line[member].as_str()), expected.map(Some), "{line}");
    }
    assert!(audit(&gateway).is_empty());
}

#[tokio::test]
async fn every_change_is_written_down_whole_and_without_a_secret() {
    let (_firemoon, installation, mut gateway) = world().await;
    let (key, id) = make_key(&gateway, json!({ "team": "design", "name": "ci" })).await;
    gateway.forbid(key.rsplit('_').next().unwrap());
    let secret = &key.rsplit('_').next().unwrap()[..32];
    gateway.forbid(&SecretHash::of(secret).to_hex());
    change(&gateway, &format!("/admin/v1/keys/{id}/rotate"), json!({ "overlap_seconds": 60 }))
        .await;
    change(&gateway, &format!("/admin/v1/keys/{id}/revoke"), json!({})).await;
    change(&gateway, "/admin/v1/teams/design/suspend", json!({})).await;
    change(&gateway, "/admin/v1/teams/design/resume", json!({ "user": "a b" })).await;
    wait_until("five lines are written", || async { audit(&gateway).len() == 5 }).await;
    let lines = audit(&gateway);
    let members = |member: &str| lines.iter().map(|line| line[member].clone()).collect::<Vec<_>>();
    assert_eq!(
        members("action"),
        ["create_key", "rotate_key", "revoke_key", "suspend_team", "resume_team"]
    );
    let subjects = [
        format!("key {id}"),
        format!("key {id}"),
        format!("key {id}"),
        "team design".to_owned(),
        "user a b of team design".to_owned(),
    ];
    assert_eq!(members("subject"), subjects);
    for line in &lines {
        assert_eq!(
            (&line["event"], &line["operator"], &line["result"]),
            (&json!("admin_change"), &json!("ops"), &json!("done"))
        );
        assert!(line["request_id"].is_string() && line["ts"].is_string());
    }
    assert_eq!(
        (&lines[0]["before"], &lines[0]["after"]["state"]),
        (&Value::Null, &json!("active"))
    );
    assert_eq!(lines[1]["after"]["secrets"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&lines[2]["before"]["state"], &lines[2]["after"]["state"]),
        (&json!("active"), &json!("revoked"))
    );
    assert_eq!(
        (&lines[3]["before"], &lines[3]["after"]),
        (&json!({ "suspended": false }), &json!({ "suspended": true }))
    );
    let listed = see(&gateway, "/admin/v1/keys").await.to_string();
    assert!(!listed.contains(secret) && !listed.contains(&SecretHash::of(secret).to_hex()));
    drop(installation);
}
