//! The public catalogue: anonymous callers are served from the cache, and cause no flood of
//! requests to Firemoon.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::support::caller::{Call, Connection};
use crate::support::firemoon::Firemoon;
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

/// How often Firemoon was asked for paths that begin with `start`.
async fn requested(firemoon: &Firemoon, start: &str) -> usize {
    let books = firemoon.books().await;
    let path = |call: &Value| call["path"].as_str().unwrap().to_owned();
    books["calls"].as_array().unwrap().iter().filter(|call| path(call).starts_with(start)).count()
}

/// The status of so many GETs, ten connections at once.
async fn flood(gateway: &Gateway, count: usize, path: impl Fn(usize) -> String) -> Vec<u16> {
    let one = |worker: usize| {
        let paths: Vec<String> = (worker..count).step_by(10).map(&path).collect();
        async move {
            let (mut connection, mut statuses) =
                (Connection::open(gateway.team()).await, Vec::new());
            for path in paths {
                statuses.push(connection.send(&Call::get(&path)).await.status);
            }
            statuses
        }
    };
    join_all((0..10).map(one)).await.concat()
}

#[tokio::test]
async fn models_that_nobody_has_heard_of_are_never_asked_for() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let statuses =
        flood(&gateway, 500, |number| format!("/api/models-config/made-up/{number}?x={number}"))
            .await;
    assert!(statuses.iter().all(|status| *status == 404), "{statuses:?}");
    assert_eq!(
        (
            requested(&firemoon, "/api/models-config/").await,
            requested(&firemoon, "/api/models").await
        ),
        (0, 1)
    );
    let unknown = gateway.send(&Call::get("/api/models-config/flux/none")).await;
    assert_eq!(unknown.refusal(), (404, "model_unknown".to_owned()));
}

#[tokio::test]
async fn each_page_is_fetched_once_whatever_its_query() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    for path in ["/api/models", "/api/models-config/flux/dev", "/api/sample-images"] {
        let statuses = flood(&gateway, 100, |number| format!("{path}?page={number}")).await;
        assert!(statuses.iter().all(|status| *status == 200), "{path}: {statuses:?}");
    }
    assert_eq!(firemoon.requests().await, 3);
}

#[tokio::test]
async fn guesses_without_a_list_are_few_and_priced_models_found() {
    let firemoon = Firemoon::start();
    firemoon
        .faults(
            &json!([{ "fault": "answer", "amount": 200, "text": "<html>", "path": "/api/models" }]),
        )
        .await;
    let installation =
        Installation::before(&firemoon).set("/listen/trusted_proxies", json!(["127.0.0.0/8"]));
    let gateway = Gateway::serve(&installation).await;
    let statuses =
        flood(&gateway, 200, |number| format!("/api/models-config/made-up/{number}")).await;
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert!(
        refused > 150 && statuses.iter().all(|status| [404, 429].contains(status)),
        "{statuses:?}"
    );
    let (guesses, lists) = (
        requested(&firemoon, "/api/models-config/").await,
        requested(&firemoon, "/api/models").await,
    );
    assert!(guesses <= 200 - refused, "{guesses}: only those that were not refused");
    assert!(lists - guesses < 100, "not every guess fetches the list: {lists}");

    // A further guess of the same caller is refused with its time, that of another is not.
    let mut reply = gateway.send(&Call::get("/api/models-config/made-up/more")).await;
    while reply.status != 429 {
        reply = gateway
            .send(&Call::get(&format!("/api/models-config/made-up/more-{}", uuid::Uuid::now_v7())))
            .await;
    }
    assert_eq!(reply.refusal(), (429, "rate_limited".to_owned()));
    assert!((1..=6).contains(&reply.number("retry-after")));
    assert_eq!(reply.header("x-error-source"), Some("caller"));
    let elsewhere =
        Call::get("/api/models-config/made-up/again").header("x-forwarded-for", "192.0.2.1");
    assert_eq!(gateway.send(&elsewhere).await.refusal(), (404, "model_unknown".to_owned()));
    assert_eq!(
        gateway.send(&Call::get("/api/models-config/made-up/again")).await.status,
        404,
        "it is cached"
    );
    assert_eq!(gateway.send(&Call::get("/api/models-config/flux/dev")).await.status, 200);
}

#[tokio::test]
async fn while_firemoon_is_down_its_catalogue_is_asked_rarely() {
    let mut firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/catalogue/fresh_for", json!("0s"));
    let gateway = Gateway::serve(&installation).await;
    assert_eq!(gateway.send(&Call::get("/api/models")).await.status, 200);
    firemoon.kill();
    let statuses = flood(&gateway, 300, |_| "/api/models".to_owned()).await;
    assert!(statuses.iter().all(|status| *status == 200), "the old page is served");
    let statuses = flood(&gateway, 300, |_| "/api/sample-images".to_owned()).await;
    assert!(statuses.iter().all(|status| *status == 502), "{statuses:?}");
    let failed = "the catalogue could not be fetched";
    wait_until("it is noticed", || async { gateway.line(failed).is_some() }).await;
    let (tried, requests) = (gateway.lines(failed).len(), 600);
    assert!(tried < requests / 4, "{tried} questions for {requests} requests");
}

#[tokio::test]
async fn a_copy_that_is_still_good_is_not_sent_again() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/catalogue/fresh_for", json!("90s"));
    let gateway = Gateway::serve(&installation).await;
    for path in ["/api/models", "/api/models-config/flux/dev", "/api/sample-images"] {
        let page = gateway.send(&Call::get(path)).await;
        let tag = page.header("etag").expect("a tag").to_owned();
        assert_eq!((page.status, page.header("cache-control")), (200, Some("public, max-age=90")));
        assert!((0..90).contains(&page.number("age")));
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()]
        {
            for method in [Method::GET, Method::HEAD] {
                let call = Call::new(method, path).header("if-none-match", &known);
                let reply = gateway.send(&call).await;
                assert_eq!((reply.status, reply.body.len()), (304, 0), "{known}");
                assert_eq!(reply.header("etag"), Some(tag.as_str()));
                assert!(
                    reply.header("cache-control").is_some()
                        && reply.header("content-type").is_none()
                );
            }
        }
        let head =
            gateway.send(&Call::new(Method::HEAD, path).header("if-none-match", "\"other\"")).await;
        assert_eq!(
            (head.status, head.body.len(), head.header("etag")),
            (200, 0, Some(tag.as_str()))
        );
        let length = page.body.len().to_string();
        assert_eq!(head.header("content-length"), Some(length.as_str()));
        let over_http2 = Connection::open_http2(gateway.team())
            .await
            .send(&Call::get(path).header("if-none-match", &tag))
            .await;
        assert_eq!((over_http2.status, over_http2.body.len()), (304, 0));
    }
    let none =
        gateway.send(&Call::get("/api/models-config/made-up").header("if-none-match", "*")).await;
    assert_eq!(none.status, 404);
}

#[tokio::test]
async fn behind_a_credential_nobody_else_may_keep_a_copy() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/catalogue/public", json!(false));
    let gateway = Gateway::serve(&installation).await;
    assert_eq!(gateway.send(&Call::get("/api/models")).await.status, 401);
    let page = gateway.send(&Call::get("/api/models").with(installation.key("design"))).await;
    assert_eq!((page.status, page.header("cache-control")), (200, Some("private, max-age=60")));
}
