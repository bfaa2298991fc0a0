//! Traces of a running gateway, as a collector gets them: what a call's spans say, whose children
//! they are, which calls are recorded, and that calls do not depend on the collector.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use crate::support::caller::{Call, Connection};
use crate::support::collector::{Answer, Collector, attributes};
use crate::support::firemoon::{Firemoon, PROMPT, SHARED_KEY, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const INTERNAL: i32 = 1;
const ERROR: i32 = 2;

fn traced(firemoon: &Firemoon, collector: &Collector) -> Installation {
    Installation::before(firemoon)
        .set("/telemetry/otlp", json!({ "endpoint": collector.endpoint() }))
}

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

/// The spans of the trace by name, once the request's own is there: it ends last.
async fn by_name(collector: &Collector, trace: &str) -> BTreeMap<String, Span> {
    let is_whole = |span: &Span| span.kind == SERVER;
    wait_until("the trace arrives", || async { collector.trace(trace).iter().any(is_whole) }).await;
    collector.trace(trace).into_iter().map(|span| (span.name.clone(), span)).collect()
}

fn says(span: &Span) -> Value {
    attributes(&span.attributes)
}

fn has_failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == ERROR)
}

/// The `traceparent` that the upstream got with a request, in its parts.
async fn sent_upstream(firemoon: &Firemoon, request_id: &str) -> [String; 3] {
    let calls = firemoon.calls_of(request_id).await;
    let headers = calls.last().unwrap()["headers"].as_array().unwrap().clone();
    let found = headers.iter().find(|pair| pair[0] == "traceparent").unwrap();
    let parts: Vec<&str> = found[1].as_str().unwrap().split('-').collect();
    [1, 2, 3].map(|part| parts[part].to_owned())
}

#[tokio::test]
async fn a_paid_call_is_one_trace_from_caller_to_upstream() {
    let (firemoon, collector) = (Firemoon::start(), Collector::start(&[]).await);
    let installation = traced(&firemoon, &collector)
        .set("/upstream/limits", json!({ "requests_per_minute": 1000 }));
    let gateway = Gateway::serve(&installation).await;
    let call = picture().header("traceparent", &parent("01")).header("x-request-id", "traced-1");
    assert_eq!(gateway.send(&call.with(installation.key("design"))).await.status, 200);
    let spans = by_name(&collector, TRACE).await;
    let names: Vec<&str> = spans.keys().map(String::as_str).collect();
    let stages =
        ["admit", "authenticate", "connect", "queue", "receive_body", "settle", "upstream"];
    assert_eq!(names, [&["POST /api/v1/{model}"], &stages[..]].concat());

    let root = &spans["POST /api/v1/{model}"];
    assert_eq!((root.kind, hex::encode(&root.parent_span_id)), (SERVER, CALLER.to_owned()));
    for stage in stages {
        let span = &spans[stage];
        let kind = if stage == "upstream" { CLIENT } else { INTERNAL };
        assert_eq!((&span.parent_span_id, span.kind), (&root.span_id, kind), "{stage}");
        assert!(root.start_time_unix_nano <= span.start_time_unix_nano, "{stage}");
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{stage}");
        assert!(span.end_time_unix_nano <= root.end_time_unix_nano, "{stage}");
        assert!(!has_failed(span), "{stage}");
    }
    let ours = hex::encode(&spans["upstream"].span_id);
    let upstream = sent_upstream(&firemoon, "traced-1").await;
    assert_eq!(upstream, [TRACE.to_owned(), ours, "01".to_owned()]);
    let line = gateway.line_written("request", |line| line["trace_id"] == TRACE).await;
    let reported = says(root);
    let expected = json!({
        "http.request.method": "POST",
        "url.scheme": "http",
        "http.route": "/api/v1/{model}",
        "http.response.status_code": 200,
        "moongate.call_id": line["call_id"],
        "moongate.team": "design",
        "moongate.model": "flux/dev",
        "moongate.outcome": "ok",
    });
    assert_eq!(reported, expected);
    let (host, port) = firemoon.address().split_once(':').unwrap();
    let expected = json!({
        "http.request.method": "POST",
        "server.address": host,
        "server.port": port.parse::<u16>().unwrap(),
        "moongate.upstream_key": "primary",
        "http.response.status_code": 200,
    });
    assert_eq!(says(&spans["upstream"]), expected);
    let message = collector.received().remove(0).message();
    let resource = message.resource_spans[0].resource.clone().unwrap();
    let process = attributes(&resource.attributes);
    assert_eq!(process["service.name"], "moongate");
    assert_eq!(process["service.version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_callers_flag_decides_else_the_share_does() {
    let (firemoon, collector) = (Firemoon::start(), Collector::start(&[]).await);
    for (share, flag) in [("1", "01"), ("0.000001", "00")] {
        let installation =
            traced(&firemoon, &collector).set("/telemetry/otlp/sample_share", json!(share));
        let gateway = Gateway::serve(&installation).await;
        let send = |id: String| {
            let call = picture().header("x-request-id", &id).with(installation.key("design"));
            let gateway = &gateway;
            async move { assert_eq!(gateway.send(&call).await.status, 200) }
        };
        let new = format!("new-{flag}");
        send(new.clone()).await;
        let [trace, _, flags] = sent_upstream(&firemoon, &new).await;
        assert_eq!(flags, flag, "what was decided goes upstream");
        for flags in ["00", "01"] {
            let id = format!("sent-{flag}-{flags}");
            let call = picture().header("traceparent", &parent(flags)).header("x-request-id", &id);
            assert_eq!(gateway.send(&call.with(installation.key("design"))).await.status, 200);
            assert_eq!(sent_upstream(&firemoon, &id).await[2], flags);
        }
        assert!(gateway.stop().await.success());
        let servers = |spans: Vec<Span>| spans.iter().filter(|span| span.kind == SERVER).count();
        assert_eq!(servers(collector.trace(&trace)), usize::from(flag == "01"), "share {share}");
    }
    let recorded = collector.trace(TRACE);
    let servers = recorded.iter().filter(|span| span.kind == SERVER).count();
    assert_eq!(servers, 2, "of each gateway the one that its caller records");
}

#[tokio::test]
async fn nothing_secret_is_in_any_span() {
    let (firemoon, collector) = (Firemoon::start(), Collector::start(&[]).await);
    let mut installation = traced(&firemoon, &collector);
    std::fs::write(installation.folder().join("otlp-token"), "Bearer otlp-7d1c\n").unwrap();
    installation.change(
        "/telemetry/otlp/headers",
        json!({ "authorization": { "file": "otlp-token" }, "X-Tenant": { "file": "otlp-token" } }),
    );
    let mut gateway = Gateway::serve(&installation).await;
    gateway.forbid("otlp-7d1c");
    let call = picture().header("x-request-id", "of-the-caller").header("user-agent", "curious/1");
    let token = installation.token("ann");
    assert_eq!(gateway.send(&call.clone().with(&token)).await.status, 200);
    assert_eq!(gateway.send(&call.with(installation.key("design"))).await.status, 200);
    let query = Call::get("/somewhere/secret-path?token=in-the-query");
    assert_eq!(gateway.send(&query.with("mgk_made-up")).await.status, 404);
    assert!(gateway.stop().await.success());

    let exports = collector.received();
    assert!(collector.spans().len() > 12, "{}", collector.spans().len());
    for export in &exports {
        let sent = (&export.headers["authorization"], &export.headers["x-tenant"]);
        assert_eq!(
            (sent.0.as_bytes(), sent.1.as_bytes()),
            (&b"Bearer otlp-7d1c"[..], &b"Bearer otlp-7d1c"[..])
        );
        let body = String::from_utf8_lossy(&export.body);
        let credential = installation.credentials();
        let never = [SHARED_KEY, PROMPT, &token, "otlp-7d1c", firemoon.media(), "of-the-caller"];
        let more = ["curious", "secret-path", "in-the-query", "made-up"];
        let never = never.into_iter().chain(more).chain(credential.iter().map(String::as_str));
        for secret in never {
            assert!(!body.contains(secret), "{secret} is in {body}");
        }
    }
}

#[tokio::test]
async fn a_span_says_which_stage_refused_and_why() {
    let (firemoon, collector) = (Firemoon::start(), Collector::start(&[]).await);
    let installation =
        traced(&firemoon, &collector).set("/teams/growth/limits", json!({ "requests_per_day": 0 }));
    let gateway = Gateway::serve(&installation).await;
    let send = |number: u32, call: Call| {
        let trace = format!("{number:032x}");
        let call = call.header("traceparent", &format!("00-{trace}-{CALLER}-01"));
        let (gateway, collector) = (&gateway, &collector);
        async move {
            let status = gateway.send(&call).await.status;
            (status, by_name(collector, &trace).await)
        }
    };
    let code = |span: &Span| says(span)["moongate.code"].clone();
    let (status, spans) = send(1, picture().with("mgk_made-up")).await;
    let root = &spans["POST /api/v1/{model}"];
    assert_eq!((status, code(root)), (401, json!("credential_invalid")));
    assert_eq!(code(&spans["authenticate"]), "credential_invalid");
    assert!(!has_failed(root) && spans.len() == 2, "an unknown caller's 401 counts for no team");

    let (status, spans) = send(2, picture().with(installation.key("growth"))).await;
    assert_eq!((status, code(&spans["admit"])), (429, json!("quota_exhausted")));
    assert!(!spans.contains_key("upstream") && !has_failed(&spans["admit"]));

    firemoon.faults(&json!([{ "fault": "bad_gateway" }])).await;
    let (status, spans) = send(3, picture().with(installation.key("design"))).await;
    assert!(status >= 500 && has_failed(&spans["upstream"]), "{status}");
    assert!(has_failed(&spans["POST /api/v1/{model}"]));
    assert_eq!(says(&spans["upstream"])["http.response.status_code"], 502);
}

#[tokio::test]
async fn a_call_whose_caller_left_is_traced_to_its_end() {
    let (firemoon, collector) = (Firemoon::start(), Collector::start(&[]).await);
    let installation = traced(&firemoon, &collector);
    let gateway = Gateway::serve(&installation).await;
    firemoon.hold().await;
    let call = picture().header("traceparent", &parent("01")).with(installation.key("design"));
    let address = gateway.team().to_owned();
    let caller = tokio::spawn(async move {
        let mut connection = Connection::open(&address).await;
        let _ = connection.begin(&call).await;
    });
    firemoon.until_held(1).await;
    caller.abort();
    wait_until("the caller is gone", || async { !gateway.lines("request").is_empty() }).await;
    firemoon.release().await;
    let spans = by_name(&collector, TRACE).await;
    let root = &spans["POST /api/v1/{model}"];
    let reported = says(root);
    assert_eq!(reported["moongate.outcome"], "abandoned");
    assert!(reported.get("http.response.status_code").is_none(), "none was sent");
    assert!(spans["settle"].end_time_unix_nano > root.end_time_unix_nano);
    assert_eq!(says(&spans["upstream"])["http.response.status_code"], 200);
}

#[tokio::test]
async fn a_dead_or_silent_collector_costs_no_call() {
    let firemoon = Firemoon::start();
    let silent = Collector::start(&[Answer::Never; 99]).await;
    for endpoint in [silent.endpoint(), "http://127.0.0.1:1".to_owned()] {
        let installation = Installation::before(&firemoon)
            .set("/telemetry/otlp", json!({ "endpoint": endpoint, "timeout": "1m" }));
        let gateway = Gateway::serve(&installation).await;
        let call = picture().with(installation.key("design"));
        // More than one batch, so that some are still in the queue at the end.
        for _ in 0..80 {
            assert_eq!(gateway.send(&call).await.status, 200);
        }
        assert!(gateway.stop().await.success(), "{endpoint}");
    }
    assert_eq!(firemoon.executed().await, 160);
    assert_eq!(silent.received().len(), 1, "one request at a time");
}
