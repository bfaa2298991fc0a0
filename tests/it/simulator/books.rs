//! The call log shows every request and what was done, and never a credential.

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use moongate::simulator::{KeySettings, Limits, Settings};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

use super::client::{CAT, DEMO, KEY, settings, start};

#[tokio::test]
async fn a_call_is_recorded_with_all_that_judges_it() {
    let firemoon = start(settings()).await;
    let key = format!("Bearer {KEY}");
    let headers = [
        ("authorization", key.as_str()),
        ("x-request-id", "r-1"),
        ("user-agent", "somebody/1"),
        ("cookie", "a=b"),
    ];
    firemoon.call(Method::POST, "/api/v1/flux/dev?a=b", &headers, CAT).await;
    let books = firemoon.books().await;
    let call = &books["calls"][0];
    let digest: String = Sha256::digest(CAT).iter().map(|byte| format!("{byte:02x}")).collect();
    for (field, value) in [
        ("method", json!("POST")),
        ("path", json!("/api/v1/flux/dev?a=b")),
        ("model", json!("flux/dev")),
        ("x_request_id", json!("r-1")),
        ("key", json!("test")),
        ("status", json!(200)),
        ("executed", json!(true)),
        ("charged", json!(0.025)),
        ("body_bytes", json!(CAT.len())),
        ("body_sha256", json!(digest)),
        ("fault", json!(null)),
        ("version", json!("HTTP/1.1")),
        ("duration_ms", json!(0)),
    ] {
        assert_eq!(call[field], value, "{field}");
    }
    let seen = call["headers"].as_array().unwrap();
    assert!(
        seen.contains(&json!(["authorization", "test"]))
            && seen.contains(&json!(["cookie", "a=b"]))
    );
    let sums = json!({ "requests": 1, "executed": 1, "rejected": 0, "charged": 0.025 });
    assert_eq!(books["keys"]["test"], sums);
}

#[tokio::test]
async fn no_credential_is_ever_shown_and_unknown_ones_are_counted() {
    let firemoon = start(settings()).await;
    for credential in [
        "Bearer mgk_team_secret",
        "Basic mgk_team_secret",
        "mgk_team_secret",
        &format!("Bearer {KEY}"),
    ] {
        firemoon
            .call(Method::POST, "/api/v1/flux/dev", &[("authorization", credential)], CAT)
            .await;
    }
    firemoon.get("/api/models").await;
    let text = firemoon.get("/_simulator/books").await.text().to_owned();
    assert!(!text.contains("mgk_team_secret") && !text.contains(KEY) && !text.contains(DEMO));
    let books = firemoon.books().await;
    assert_eq!(books["unknown_credentials"], 3);
    assert_eq!(books["keys"]["unknown"]["rejected"], 3);
    assert_eq!(books["keys"]["none"]["requests"], 1);
}

#[tokio::test]
async fn a_request_that_was_executed_twice_is_seen() {
    let firemoon = start(settings()).await;
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str()), ("x-request-id", "r-1")];
    for body in [CAT, CAT, "{}"] {
        firemoon.call(Method::POST, "/api/v1/flux/dev", &headers, body).await;
    }
    firemoon.generate("flux/dev", CAT).await;
    let books = firemoon.get("/_simulator/books?x_request_id=r-1").await.json();
    assert_eq!(books["request_ids"], json!({ "r-1": { "requests": 3, "executed": 2 } }));
    assert_eq!(books["calls"].as_array().unwrap().len(), 3);
    assert_eq!(firemoon.get("/_simulator/books?calls=1").await.json()["calls"][0]["number"], 3);
}

#[tokio::test]
async fn the_books_keep_the_latest_calls_and_all_sums() {
    let firemoon = start(Settings { calls_max: 3, ..settings() }).await;
    for number in 0..5 {
        let (key, id) = (format!("Bearer {KEY}"), format!("r-{number}"));
        let headers = [("authorization", key.as_str()), ("x-request-id", id.as_str())];
        firemoon.call(Method::POST, "/api/v1/flux/dev", &headers, CAT).await;
    }
    let books = firemoon.books().await;
    assert_eq!(
        (&books["requests"], &books["executed"], &books["calls_forgotten"]),
        (&json!(5), &json!(5), &json!(2))
    );
    assert_eq!(books["calls"][0]["x_request_id"], "r-2");
    assert_eq!(books["request_ids"].as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn a_reset_brings_everything_back_to_the_start() {
    let firemoon = start(settings()).await;
    firemoon.generate("flux/dev", CAT).await;
    firemoon.put("/_simulator/faults", r#"[{"fault":"nsfw"}]"#).await;
    firemoon.put("/_simulator/keys/demo", r#"{"suspended":true,"balance":0}"#).await;
    assert_eq!(firemoon.call(Method::POST, "/_simulator/reset", &[], "").await.status, 200);
    let books = firemoon.books().await;
    assert_eq!(
        (&books["requests"], &books["balances"]),
        (&json!(0), &json!({ "demo": 100, "test": 100 }))
    );
    let answer = firemoon.generate_with(DEMO, "flux/dev", CAT).await;
    assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, Some("29")));
    assert_eq!(answer.json()["has_nsfw_concepts"], json!([false]));
    assert_eq!(firemoon.get_with(KEY, "/api/generations").await.json()["pagination"]["total"], 0);
    assert_eq!(firemoon.get("/_simulator/nothing").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_calls_at_once_are_answered_and_charged() {
    let mut settings = settings();
    settings.keys = vec![KeySettings::new("test", KEY, Limits::NONE)];
    let firemoon = start(settings).await;
    firemoon.put("/_simulator/faults", r#"[{"fault":"hold"}]"#).await;
    let mut calls = Vec::new();
    // Ten connections of two hundred streams: as many sockets of HTTP/1.1 would be more than a
    // process may open everywhere.
    for _ in 0..10 {
        let stream = TcpStream::connect(&firemoon.api).await.unwrap();
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        calls
            .extend((0..200).map(|_| tokio::spawn(generate(sender.clone(), firemoon.api.clone()))));
    }
    firemoon.until("all run at the same time", |books| books["held"] == 2_000).await;
    firemoon.call(Method::POST, "/_simulator/release", &[], "").await;
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    let books = firemoon.get("/_simulator/books?calls=0").await.json();
    assert_eq!(
        (&books["executed"], &books["charged"], &books["in_flight"]),
        (&json!(2000), &json!(50), &json!(0))
    );
    assert_eq!(firemoon.balance().await, json!(50));
}

async fn generate(mut sender: http2::SendRequest<Full<Bytes>>, address: String) -> u16 {
    let request = http::Request::post(format!("http://{address}/api/v1/flux/dev"))
        .header("authorization", format!("Bearer {KEY}"))
        .body(Full::new(Bytes::from_static(CAT.as_bytes())));
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    answer.into_body().collect().await.unwrap();
    status
}
