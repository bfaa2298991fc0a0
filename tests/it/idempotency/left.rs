//! Callers who left: the outcome of their calls can be fetched by id, by their own team only.

use std::io::{Read, Write};

use serde_json::{Value, json};

use super::gateway::{once, prepaid, replays, spent};
use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, wait_until};

pub(super) fn outcome_of(id: &str, credential: &str) -> Call {
    Call::get(&format!("/gateway/v1/requests/{id}")).with(credential)
}

/// What is shown of the calls that carried a request id, newest first.
pub(super) async fn calls_of(gateway: &Gateway, carried: &str, credential: &str) -> Vec<Value> {
    let reply = gateway.send(&outcome_of(carried, credential)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["requests"].as_array().unwrap().clone()
}

/// Waits until the only call that carried a request id is done and its outcome is kept; returns the
/// outcome.
pub(super) async fn kept_of(gateway: &Gateway, carried: &str, credential: &str) -> Value {
    let the_call = async || calls_of(gateway, carried, credential).await.pop().unwrap();
    wait_until("its outcome is there", || async { !the_call().await["answerBytes"].is_null() })
        .await;
    assert_eq!(calls_of(gateway, carried, credential).await.len(), 1);
    the_call().await
}

/// Sends a call and leaves while the upstream works on it and on so many before it.
pub(super) async fn send_and_leave(
    call: Call,
    gateway: &Gateway,
    firemoon: &Firemoon,
    before: u64,
) {
    let abandoned =
        || gateway.lines("request").iter().filter(|line| line["outcome"] == "abandoned").count();
    let left = abandoned();
    firemoon.hold().await;
    let mut connection = Connection::open(gateway.team()).await;
    let call = tokio::spawn(async move { connection.exchange(&call).await.is_ok() });
    firemoon.until_held(before + 1).await;
    call.abort();
    wait_until("the gateway sees that it has left", || async { abandoned() > left }).await;
}

/// The answer can be fetched by its own team only.
#[tokio::test]
async fn an_absent_callers_answer_can_be_fetched_through_any_gateway() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = prepaid(Installation::on(&redis, &firemoon));
    let gateways = [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
    let (design, growth) = (installation.key("design"), installation.key("growth"));
    send_and_leave(
        picture().with(design).header("x-request-id", "left-1"),
        &gateways[0],
        &firemoon,
        0,
    )
    .await;
    for gateway in &gateways {
        let running = calls_of(gateway, "left-1", design).await;
        assert_eq!(
            (running.len(), &running[0]["state"], &running[0]["answer"]),
            (1, &json!("running"), &Value::Null)
        );
    }
    firemoon.release().await;
    let call = kept_of(&gateways[1], "left-1", design).await;
    let id = call["callId"].as_str().unwrap();
    for gateway in &gateways {
        let reply = gateway.send(&outcome_of(id, design)).await;
        assert_eq!(
            (reply.header("content-type"), reply.header("cache-control")),
            (Some("application/json"), Some("no-store"))
        );
        assert_eq!(reply.json(), call, "both ids find the same call");
        let [state, outcome] = ["state", "outcome"].map(|name| call[name].as_str());
        assert_eq!(
            (state, outcome, &call["status"]),
            (Some("done"), Some("completed"), &json!(200))
        );
        assert_eq!((&call["requestId"], &call["endpoint"]), (&json!("left-1"), &json!("flux/dev")));
        assert_eq!(call["creditsCost"].to_string(), "0.025");
        assert_eq!(call["answer"]["images"].as_array().unwrap().len(), 1);
        for id in ["left-1", id] {
            let foreign = gateway.send(&outcome_of(id, growth)).await;
            assert_eq!(foreign.refusal(), (404, "request_not_found".to_owned()));
        }
        assert_eq!(gateway.send(&Call::get("/gateway/v1/requests/left-1")).await.status, 401);
    }
    assert_eq!(replays(&gateways[0], "fetched").await, Some(1.0));
    assert_eq!(spent(&gateways[0], design).await, ("0.025".to_owned(), "0".to_owned()));
    assert_eq!(firemoon.requests().await, 1, "fetching needs no call");
}

#[tokio::test]
async fn a_caller_who_returns_with_its_key_joins_its_call() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = prepaid(Installation::on(&redis, &firemoon));
    let gateway = Gateway::serve(&installation).await;
    let design = installation.key("design").to_owned();
    send_and_leave(
        once("order-1", &design).header("x-request-id", "left-1"),
        &gateway,
        &firemoon,
        0,
    )
    .await;
    let (again, mut connection) =
        (once("order-1", &design), Connection::open(gateway.team()).await);
    let again = tokio::spawn(async move { connection.send(&again).await });
    let in_flight = r#"moongate_http_in_flight{route="/api/v1/{model}"}"#;
    wait_until("it has joined", || async { gateway.metric(in_flight).await == Some(1.0) }).await;
    firemoon.release().await;
    let again = again.await.unwrap();
    assert_eq!((again.status, again.header("x-request-id")), (200, Some("left-1")));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(
        (firemoon.requests().await, spent(&gateway, &design).await.0),
        (1, "0.025".to_owned())
    );
}

#[tokio::test]
async fn a_half_closed_callers_answer_is_kept() {
    let firemoon = Firemoon::start();
    let installation = prepaid(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    let design = installation.key("design");
    firemoon.hold().await;
    let body = r#"{"prompt":"x"}"#;
    let mut stream = std::net::TcpStream::connect(gateway.team()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let head = format!(
        "POST /api/v1/flux/dev HTTP/1.1\r\nhost: a\r\nx-request-id: half\r\n\
         authorization: Bearer {design}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    firemoon.until_held(1).await;
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "", "no caller counts as reading any more");
    firemoon.release().await;
    let call = kept_of(&gateway, "half", design).await;
    assert_eq!(call["answer"]["images"].as_array().unwrap().len(), 1);
    let line = gateway.line_written("request", |line| line["request_id"] == "half").await;
    assert_eq!((&line["outcome"], &line["status"]), (&json!("abandoned"), &json!(499)));
}

#[tokio::test]
async fn a_caller_who_leaves_while_it_waits_disturbs_nobody() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = prepaid(Installation::on(&redis, &firemoon));
    let [gateway, other] =
        [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
    let design = installation.key("design").to_owned();
    firemoon.hold().await;
    let (call, mut connection) = (once("order-1", &design), Connection::open(gateway.team()).await);
    let owner = tokio::spawn(async move { connection.send(&call).await.status });
    firemoon.until_held(1).await;
    let (call, mut connection) = (once("order-1", &design), Connection::open(other.team()).await);
    let joined = tokio::spawn(async move { connection.exchange(&call).await.is_ok() });
    let in_flight = r#"moongate_http_in_flight{route="/api/v1/{model}"}"#;
    wait_until("it has joined", || async { other.metric(in_flight).await == Some(1.0) }).await;
    joined.abort();
    wait_until("it has left", || async { other.metric(in_flight).await == Some(0.0) }).await;
    firemoon.release().await;
    assert_eq!(owner.await.unwrap(), 200);
    for gateway in [&gateway, &other] {
        let again = gateway.send(&once("order-1", &design)).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    }
    assert_eq!(firemoon.requests().await, 1);
}

#[tokio::test]
async fn a_caller_who_left_can_learn_of_a_failed_call() {
    let firemoon = Firemoon::start();
    let installation =
        prepaid(Installation::before(&firemoon)).set("/upstream/answer_timeout", json!("1s"));
    let gateway = Gateway::serve(&installation).await;
    let design = installation.key("design");
    // Held until the time-out: the outcome is unknown, as the caller would have learned.
    send_and_leave(picture().with(design).header("x-request-id", "left-1"), &gateway, &firemoon, 0)
        .await;
    let outcome = kept_of(&gateway, "left-1", design).await;
    assert_eq!(
        (&outcome["status"], &outcome["answer"]["code"]),
        (&json!(504), &json!("upstream_timeout"))
    );
    assert_eq!(outcome["answer"]["requestId"], "left-1");
    assert_eq!(
        (outcome["creditsCost"].to_string(), &outcome["outcome"]),
        ("0.025".to_owned(), &json!("unknown"))
    );
    firemoon.release().await;
}

#[tokio::test]
async fn absent_callers_answers_are_bounded_in_bytes_and_time() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    for installation in [Installation::before(&firemoon), Installation::on(&redis, &firemoon)] {
        let installation = prepaid(installation)
            .set("/replay", json!({ "retention": "1m", "answer_bytes_max": 10 }));
        let gateway = Gateway::serve(&installation).await;
        let design = installation.key("design");
        send_and_leave(
            picture().with(design).header("x-request-id", "left-1"),
            &gateway,
            &firemoon,
            0,
        )
        .await;
        firemoon.release().await;
        let the_call = async || calls_of(&gateway, "left-1", design).await.pop().unwrap();
        // The call's answer is too large to keep; its charge is shown.
        let too_large = "The answer was too large to keep, or has given way to newer ones";
        wait_until("its outcome is there", || async { the_call().await["message"] == too_large })
            .await;
        let call = the_call().await;
        assert_eq!(
            (call["creditsCost"].to_string(), &call["answer"]),
            ("0.025".to_owned(), &Value::Null)
        );
    }
    for key in redis.ask::<Vec<String>>(&["KEYS", "mg1:{design}:replay:*"]).await.unwrap() {
        let left: i64 = redis.ask(&["PTTL", &key]).await.unwrap();
        assert!((1..=60_000).contains(&left), "{key} is forgotten by itself: {left} ms");
    }
}
