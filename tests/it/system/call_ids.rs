//! Each call has an id of its own, whatever request id its caller sends: in its header, its row and
//! its log line.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::caller::{Call, Connection, Reply};
use crate::support::firemoon::{Firemoon, picture, pictures};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

fn id_of(reply: &Reply) -> String {
    let id = reply
        .header("x-call-id")
        .unwrap_or_else(|| panic!("no id: {} {}", reply.status, reply.text()));
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    id.to_owned()
}

/// The ids stand in answers, rows and log lines.
#[tokio::test]
async fn calls_sharing_a_request_id_have_ids_of_their_own() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let design = installation.key("design");
    let call = picture().with(design).header("x-request-id", "one-workflow");
    let mut http2 = Connection::open_http2(gateway.team()).await;
    let replies = [gateway.send(&call).await, gateway.send(&call).await, http2.send(&call).await];
    let from_headers: BTreeSet<String> = replies.iter().map(id_of).collect();
    assert_eq!(from_headers.len(), 3, "{from_headers:?}");
    assert!(replies.iter().all(|reply| reply.header("x-request-id") == Some("one-workflow")));

    let history = gateway.send(&Call::get("/api/generations").with(design)).await.json();
    let ids = |rows: &Value| -> BTreeSet<String> {
        let rows = rows.as_array().unwrap();
        assert!(rows.iter().all(|row| row["requestId"] == "one-workflow"));
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&history["generations"]), from_headers);

    let lines = || -> BTreeSet<String> {
        let lines = gateway
            .lines("request")
            .into_iter()
            .filter(|line| line["request_id"] == "one-workflow");
        lines.map(|line| line["call_id"].as_str().unwrap().to_owned()).collect()
    };
    wait_until("the lines are written", || async { lines().len() == 3 }).await;
    assert_eq!(lines(), from_headers);
    let seen = firemoon.calls_of("one-workflow").await;
    assert_eq!(seen.len(), 3, "the upstream gets the caller's own request id");
}

/// What is no call has none.
#[tokio::test]
async fn every_call_has_an_id_even_when_refused() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/teams/design/limits", json!({ "credits_total": 0.03 }))
        .set("/limits/body_bytes_max", json!(1000));
    let gateway = Gateway::serve(&installation).await;
    let design = installation.key("design");
    firemoon.faults(&json!([{ "fault": "access_denied", "times": 1 }])).await;
    let post = |model: &str| Call::post(&format!("/api/v1/{model}")).with(design);
    let calls = [
        (picture().with(design), 403),
        (pictures(4).with(design), 402),
        (pictures(9).with(design), 400),
        (post("flux/pro").text("{}"), 403),
        (post("flux/none").text("{}"), 404),
        (post("flux/dev").bytes("{}"), 415),
        (post("flux/dev").text(&" ".repeat(1001)), 413),
    ];
    let mut from_headers = BTreeSet::new();
    for (call, status) in &calls {
        let reply = gateway.send(call).await;
        assert_eq!(reply.status, *status, "{}", reply.text());
        assert!(from_headers.insert(id_of(&reply)), "an id was given twice");
    }
    let no_calls = [
        Call::get("/api/v1/flux/dev").with(design),
        Call::post("/gateway/v1/quote/flux/dev").with(design).text("{}"),
        Call::get("/gateway/v1/me").with(design),
        Call::get("/api/models"),
        post("flux/dev").header("x-api-key", "x").text("{}"),
        picture(),
    ];
    for call in &no_calls {
        let reply = gateway.send(call).await;
        assert!(reply.header("x-call-id").is_none(), "{} {}", reply.status, reply.text());
    }
}
