//! Pages of other origins: those that are named may call and read, no other; a preflight needs no
//! credential.

use http::Method;
use serde_json::json;

use super::spending::{assert_untouched, wide_limits};
use crate::support::caller::{Call, Reply};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

const STUDIO: &str = "https://studio.example.com";
const STRANGE: &str = "https://studio.example.com.evil.example";

fn installation(firemoon: &Firemoon) -> Installation {
    Installation::before(firemoon)
        .set("/listen/cors", json!({ "origins": [STUDIO, "http://localhost:5173"] }))
        .set("/teams/design/limits", wide_limits())
}

fn preflight(path: &str, origin: &str) -> Call {
    Call::new(Method::OPTIONS, path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,idempotency-key")
}

fn allowed(reply: &Reply) -> Option<&str> {
    reply.header("access-control-allow-origin")
}

/// Checks that a comma-separated header has all these names.
fn names(reply: &Reply, header: &str, expected: &[&str]) {
    let value = reply.header(header).unwrap_or_default().to_ascii_lowercase();
    let named: Vec<&str> = value.split(',').map(str::trim).collect();
    for name in expected {
        assert!(named.contains(name), "{header} has no {name}: {value}");
    }
}

#[tokio::test]
async fn a_preflight_of_a_named_origin_needs_no_credential() {
    let firemoon = Firemoon::start();
    let installation = installation(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    for origin in [STUDIO, "http://localhost:5173"] {
        let reply = gateway.send(&preflight("/api/v1/flux/dev", origin)).await;
        assert_eq!((reply.status, reply.text()), (200, ""));
        assert_eq!(allowed(&reply), Some(origin));
        names(&reply, "access-control-allow-methods", &["get", "head", "post"]);
        let sent = ["authorization", "x-api-key", "content-type", "idempotency-key"];
        names(&reply, "access-control-allow-headers", &sent);
        names(&reply, "access-control-allow-headers", &["x-request-id", "x-moongate-team"]);
        names(&reply, "vary", &["origin"]);
        assert_eq!(reply.header("access-control-max-age"), Some("3600"));
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        assert!(reply.header("x-request-id").is_some());
    }
    assert_eq!(firemoon.requests().await, 0);
    assert_untouched(&gateway, installation.key("design")).await;
    wait_until("preflights have an access line", || async {
        let lines = gateway.lines("request");
        lines.iter().filter(|line| line["method"] == "OPTIONS" && line["status"] == 200).count()
            == 2
    })
    .await;
}

#[tokio::test]
async fn a_page_of_a_named_origin_reads_answers_and_refusals() {
    let firemoon = Firemoon::start();
    let installation = installation(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let calls = [
        (picture().with(key), 200),
        (picture(), 401),
        (Call::get("/nowhere"), 404),
        (Call::get("/api//v1/%2f"), 400),
        (Call::get("/api/models"), 200),
        (Call::get("/gateway/v1/me").with(key), 200),
    ];
    for (call, status) in calls {
        let reply = gateway.send(&call.header("origin", STUDIO)).await;
        assert_eq!((reply.status, allowed(&reply)), (status, Some(STUDIO)), "{}", reply.text());
        let exposed = "access-control-expose-headers";
        names(&reply, exposed, &["x-request-id", "x-call-id", "retry-after", "x-error-source"]);
        names(&reply, exposed, &["x-credits-cost", "x-credits-remaining", "server-timing"]);
        names(&reply, exposed, &["ratelimit", "ratelimit-policy", "x-ratelimit-remaining"]);
        names(&reply, "vary", &["origin"]);
    }
}

/// What an answer without an origin says may be kept by a cache on the way, so it varies too.
#[tokio::test]
async fn a_page_of_any_other_origin_reads_nothing() {
    let firemoon = Firemoon::start();
    let installation = installation(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    for origin in [STRANGE, "null", "https://STUDIO.example.com", "http://studio.example.com", "*"]
    {
        let reply = gateway.send(&preflight("/api/v1/flux/dev", origin)).await;
        assert_eq!(reply.refusal(), (405, "method_not_allowed".to_owned()), "{origin}");
        assert_eq!(allowed(&reply), None, "{origin}");
        let reply = gateway.send(&picture().with(key).header("origin", origin)).await;
        assert_eq!((reply.status, allowed(&reply)), (200, None), "{origin}");
    }
    let reply = gateway.send(&Call::get("/api/models")).await;
    assert_eq!((reply.status, allowed(&reply)), (200, None));
    names(&reply, "vary", &["origin"]);
    let no_preflight = Call::new(Method::OPTIONS, "/api/v1/flux/dev").header("origin", STUDIO);
    let reply = gateway.send(&no_preflight).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn without_named_origins_answers_say_nothing_of_them() {
    let firemoon = Firemoon::start();
    let gateway = Gateway::serve(&Installation::before(&firemoon)).await;
    let reply = gateway.send(&preflight("/api/v1/flux/dev", STUDIO)).await;
    assert_eq!(reply.refusal(), (405, "method_not_allowed".to_owned()));
    let read = gateway.send(&Call::get("/api/models").header("origin", STUDIO)).await;
    for reply in [reply, read] {
        let headers = ["access-control-allow-origin", "access-control-expose-headers", "vary"];
        assert_eq!(headers.map(|name| reply.header(name)), [None; 3], "{}", reply.text());
    }
}
