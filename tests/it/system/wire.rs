//! The protocols of callers: HTTP/1.1 kept alive, HTTP/2 with prior knowledge, HEAD, a base URL
//! with a slash too many.

use http::{Method, Version};
use serde_json::json;

use crate::support::blocking;
use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, PROMPT, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;

#[tokio::test]
async fn http2_with_prior_knowledge_multiplexes_calls() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let connection = Connection::open_http2(gateway.team()).await;
    firemoon.hold().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (mut connection, call) =
            (connection.beside(), picture().with(installation.key("design")));
        calls.spawn(async move {
            let reply = connection.send(&call).await;
            (reply.status, reply.version)
        });
    }
    firemoon.until_held(20).await;
    firemoon.release().await;
    assert_eq!(calls.join_all().await, vec![(200, Version::HTTP_2); 20]);
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let mut connection = Connection::open(gateway.team()).await;
    for number in 0..5 {
        let call = picture()
            .with(installation.key("design"))
            .header("x-request-id", &format!("kept-{number}"));
        let reply = connection.send(&call).await;
        assert_eq!(
            (reply.status, reply.version, reply.header("connection")),
            (200, Version::HTTP_11, None)
        );
    }
    let books = firemoon.books().await;
    let connections: Vec<_> =
        books["calls"].as_array().unwrap().iter().map(|call| call["connection"].clone()).collect();
    assert_eq!(connections, vec![connections[0].clone(); 5]);
}

#[tokio::test]
async fn a_refusal_leaves_the_connection_usable_unless_it_says_otherwise() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let mut connection = Connection::open(gateway.team()).await;
    let key = installation.key("design");
    for refused in [
        Call::get("/nowhere"),
        picture(),
        Call::post("/api/v1/flux/dev").with(key).text("[]"),
        Call::post("/api/v1/flux/pro").with(key).json(&json!({ "prompt": PROMPT })),
    ] {
        assert!(connection.send(&refused).await.status >= 400);
        assert_eq!(connection.send(&picture().with(key)).await.status, 200);
    }
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let firemoon = Firemoon::start();
    // Sets no limits: the times of their resets would differ from one answer to the next.
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let paths = [
        "/api/models",
        "/api/models-config/flux/dev",
        "/api/sample-images",
        "/api/credits/balance",
        "/gateway/v1/me",
    ];
    for path in paths {
        let get = gateway.send(&Call::get(path).with(installation.key("design"))).await;
        let head =
            gateway.send(&Call::new(Method::HEAD, path).with(installation.key("design"))).await;
        assert_eq!((get.status, head.status), (200, 200), "{path}: {}", get.text());
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert_eq!(head.number("content-length"), i64::try_from(get.body.len()).unwrap(), "{path}");
    }
    let reply = gateway.send(&Call::new(Method::HEAD, "/nowhere")).await;
    assert_eq!((reply.status, reply.body.len()), (404, 0));
}

#[tokio::test]
async fn http2_head_answers_state_the_length_without_a_body() {
    let firemoon = Firemoon::start();
    let gateway = Gateway::serve(&Installation::before(&firemoon)).await;
    let mut connection = Connection::open_http2(gateway.team()).await;
    for (path, status) in [("/api/models", 200), ("/nowhere", 404)] {
        let get = connection.send(&Call::get(path).header("x-request-id", "r-1")).await;
        let head =
            connection.send(&Call::new(Method::HEAD, path).header("x-request-id", "r-1")).await;
        assert_eq!((get.status, head.status), (status, status), "{path}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
        assert_eq!(head.number("content-length"), i64::try_from(get.body.len()).unwrap(), "{path}");
    }
}

#[tokio::test]
async fn an_http2_connection_closes_only_without_calls() {
    let firemoon = Firemoon::start();
    let installation =
        Installation::before(&firemoon).set("/limits/header_timeout", json!("200ms"));
    let gateway = Gateway::serve(&installation).await;
    firemoon.hold().await;
    let (mut busy, call) =
        (Connection::open_http2(gateway.team()).await, picture().with(installation.key("design")));
    let call = tokio::spawn(async move { busy.send(&call).await.status });
    firemoon.until_held(1).await;
    let stream = tokio::net::TcpStream::connect(gateway.team()).await.unwrap();
    let (idle, connection) =
        hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
            .handshake::<_, http_body_util::Empty<bytes::Bytes>>(hyper_util::rt::TokioIo::new(
                stream,
            ))
            .await
            .unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(30), connection)
        .await
        .expect("it ends")
        .unwrap();
    assert!(idle.is_closed());
    firemoon.release().await;
    assert_eq!(call.await.unwrap(), 200);
}

#[tokio::test]
async fn repeated_slashes_are_one() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let call = Call::post("/api//v1/flux//dev")
        .json(&json!({ "prompt": PROMPT }))
        .with(installation.key("design"));
    assert_eq!(gateway.send(&call.header("x-request-id", "slashes")).await.status, 200);
    assert_eq!(firemoon.calls_of("slashes").await[0]["path"], "/api/v1/flux/dev");
}

#[tokio::test]
async fn expect_continue_and_chunked_bodies_are_understood() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let head = format!(
        "POST /api/v1/flux/dev HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\n\
         expect: 100-continue\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        installation.key("design")
    );
    let chunks = "6\r\n{\"prom\r\n8\r\npt\":\"x\"}\r\n0\r\nx-trailer: 1\r\n\r\n";
    let answer = blocking::exchange(gateway.team(), format!("{head}{chunks}").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\"images\":["), "{answer}");
}

#[tokio::test]
async fn the_catalogue_needs_no_credential_and_shows_none_to_firemoon() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    for path in ["/api/models", "/api/models-config/flux/dev", "/api/sample-images"] {
        for _ in 0..3 {
            let reply = gateway.send(&Call::get(path).header("cookie", "session=1")).await;
            assert_eq!(
                (reply.status, reply.header("content-type")),
                (200, Some("application/json")),
                "{path}"
            );
        }
        let direct = Call::get(path).send_uninspected(firemoon.address()).await;
        assert_eq!(gateway.send(&Call::get(path)).await.body, direct.body, "{path}");
    }
    let books = firemoon.books().await;
    assert!(
        books["keys"].as_object().unwrap().keys().all(|key| key == "none"),
        "{}",
        books["keys"]
    );
    assert!(!books.to_string().contains("session=1"));
    let unknown = gateway.send(&Call::get("/api/models-config/flux/none")).await;
    assert_eq!(unknown.refusal(), (404, "model_unknown".to_owned()));
}
