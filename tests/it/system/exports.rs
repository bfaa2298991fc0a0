//! Every row of the ledger, page by page, as operators export it.

use serde_json::Value;

use super::reports::{TOKEN, usage, with_operator};
use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;

#[tokio::test]
async fn an_export_pages_through_each_call_once() {
    let firemoon = Firemoon::start();
    let installation = with_operator(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    for _ in 0..7 {
        gateway.send(&picture().with(installation.key("design"))).await;
    }
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let call = Call::get(&format!("/admin/v1/ledger?team=design&limit=3{after}"));
        let page = call.with(TOKEN).send_uninspected(gateway.operator()).await.json();
        ids.extend(
            page["rows"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        // What comes meanwhile moves nothing.
        gateway.send(&picture().with(installation.key("design"))).await;
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(ids.len(), 7);
    let lines = usage(&gateway, &["--calls", "--team", "design", "--json"]);
    let all: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(all.len(), 10);
    assert_eq!(
        ids,
        all[3..].iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn an_export_of_all_teams_pages_through_each_call_once() {
    let firemoon = Firemoon::start();
    let installation = with_operator(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    for team in ["growth", "design", "growth", "design", "design"] {
        assert_eq!(gateway.send(&picture().with(installation.key(team))).await.status, 200);
    }
    for limit in 1..=6 {
        let (mut met, mut after) = (Vec::new(), String::new());
        loop {
            let call = Call::get(&format!("/admin/v1/ledger?limit={limit}{after}"));
            let page = call.with(TOKEN).send_uninspected(gateway.operator()).await.json();
            met.extend(
                page["rows"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|row| (row["team"].clone(), row["id"].clone())),
            );
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        let teams: Vec<&Value> = met.iter().map(|(team, _)| team).collect();
        assert_eq!(teams, ["design", "design", "design", "growth", "growth"], "{limit} at a time");
        met.sort_by_key(|(_, id)| id.to_string());
        met.dedup();
        assert_eq!(met.len(), 5);
    }
}
