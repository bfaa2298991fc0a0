//! The team's own calls, fetched by id or all at once: queued, running and done, with and without
//! their answers.

use serde_json::{Value, json};

use super::gateway::{once, prepaid};
use super::left::{calls_of, kept_of, outcome_of, send_and_leave};
use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, wait_until};

async fn all(gateway: &Gateway, credential: &str) -> Vec<Value> {
    let reply = gateway.send(&Call::get("/gateway/v1/requests").with(credential)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["requests"].as_array().unwrap().clone()
}

fn texts<'a>(calls: &'a [Value], name: &str) -> Vec<&'a str> {
    calls.iter().map(|call| call[name].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn three_abandoned_calls_of_one_workflow_leave_three_answers() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    for installation in [Installation::before(&firemoon), Installation::on(&redis, &firemoon)] {
        let installation = prepaid(installation);
        let gateway = Gateway::serve(&installation).await;
        let design = installation.key("design");
        for held in 0..3 {
            let call = picture().with(design).header("x-request-id", "workflow");
            send_and_leave(call, &gateway, &firemoon, held).await;
        }
        let running = calls_of(&gateway, "workflow", design).await;
        assert_eq!(texts(&running, "state"), ["running"; 3]);
        assert_eq!(texts(&all(&gateway, design).await, "callId"), texts(&running, "callId"));
        firemoon.release().await;
        let whole = async || {
            let calls = calls_of(&gateway, "workflow", design).await;
            calls.iter().filter(|call| call["answer"]["images"].is_array()).count() == 3
        };
        wait_until("all are kept", || async { whole().await }).await;
        let done = calls_of(&gateway, "workflow", design).await;
        assert_eq!(texts(&done, "callId"), texts(&running, "callId"), "newest first, as before");
        assert_eq!(
            (texts(&done, "state"), texts(&done, "requestId")),
            (vec!["done"; 3], vec!["workflow"; 3])
        );
        let listed = all(&gateway, design).await;
        assert_eq!(texts(&listed, "callId"), texts(&done, "callId"));
        assert!(
            listed.iter().all(|call| call["answer"].is_null() && call["answerBytes"].is_u64()),
            "{listed:?}"
        );
        for call in &done {
            let reply = gateway.send(&outcome_of(call["callId"].as_str().unwrap(), design)).await;
            assert_eq!(reply.json(), *call);
        }
        assert_eq!(all(&gateway, installation.key("growth")).await, Vec::<Value>::new());
    }
}

/// The call's answer is not kept.
#[tokio::test]
async fn an_ordinary_ended_call_is_reported_as_done() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    for installation in [Installation::before(&firemoon), Installation::on(&redis, &firemoon)] {
        let installation = prepaid(installation);
        let gateway = Gateway::serve(&installation).await;
        let (design, growth) = (installation.key("design"), installation.key("growth"));
        let stayed = gateway.send(&picture().with(design).header("x-request-id", "stayed")).await;
        firemoon.faults(&json!([{ "fault": "access_denied", "times": 1 }])).await;
        let failed = gateway.send(&picture().with(design).header("x-request-id", "stayed")).await;
        let keyed = gateway.send(&once("order-1", design).header("x-request-id", "keyed")).await;
        assert_eq!((stayed.status, failed.status, keyed.status), (200, 403, 200));
        let of = async |reply: &crate::support::caller::Reply| {
            gateway.send(&outcome_of(reply.header("x-call-id").unwrap(), design)).await.json()
        };
        for (reply, outcome, cost) in [(&stayed, "completed", "0.025"), (&failed, "failed", "0")] {
            let call = of(reply).await;
            assert_eq!(
                (&call["state"], &call["outcome"], call["status"].as_u64()),
                (&json!("done"), &json!(outcome), Some(u64::from(reply.status)))
            );
            assert_eq!(
                (call["creditsCost"].to_string(), &call["answer"]),
                (cost.to_owned(), &Value::Null)
            );
            assert!(
                call["message"]
                    .as_str()
                    .unwrap()
                    .starts_with("The answer is not kept: one is kept only if"),
                "{call}"
            );
            let foreign =
                gateway.send(&outcome_of(reply.header("x-call-id").unwrap(), growth)).await;
            assert_eq!(foreign.refusal(), (404, "request_not_found".to_owned()));
        }
        assert_eq!(
            texts(&calls_of(&gateway, "stayed", design).await, "outcome"),
            ["failed", "completed"]
        );
        let call = of(&keyed).await;
        assert_eq!((&call["answer"], &call["message"]), (&keyed.json(), &Value::Null));
        assert_eq!(kept_of(&gateway, "keyed", design).await, call);
        assert_eq!(
            texts(&all(&gateway, design).await, "requestId"),
            ["keyed"],
            "open calls and kept answers"
        );
        for unknown in ["never", "0193a1b2c3d47e5f8a9b0c1d2e3f4a5b"] {
            let reply = gateway.send(&outcome_of(unknown, design)).await;
            assert_eq!(reply.refusal(), (404, "request_not_found".to_owned()));
        }
    }
}

/// The call shows on every gateway.
#[tokio::test]
async fn a_call_waiting_for_the_shared_account_shows_as_queued() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = prepaid(Installation::on(&redis, &firemoon))
        .set("/upstream/limits", json!({ "requests_per_minute": 1 }))
        .set("/queue", json!({ "max_wait": "120s" }));
    let gateways = [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
    let design = installation.key("design").to_owned();
    firemoon.hold().await;
    let mut calls = Vec::new();
    for name in ["first", "second"] {
        let mut connection = Connection::open(gateways[0].team()).await;
        let call = picture().with(&design).header("x-request-id", name);
        calls.push(tokio::spawn(async move { connection.exchange(&call).await.is_ok() }));
        firemoon.until_held(1).await;
    }
    wait_until("the second waits", || async { all(&gateways[1], &design).await.len() == 2 }).await;
    for gateway in &gateways {
        let open = all(gateway, &design).await;
        assert_eq!(
            (texts(&open, "requestId"), texts(&open, "state")),
            (vec!["second", "first"], vec!["queued", "running"])
        );
    }
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    wait_until("who waited has left", || async { all(&gateways[1], &design).await.len() == 1 })
        .await;
    firemoon.release().await;
    assert_eq!(kept_of(&gateways[1], "first", &design).await["state"], "done");
}
