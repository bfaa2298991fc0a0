//! Tests of the outermost layers together: every request gets an id, is counted once and logged
//! once, whatever its outcome.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

use super::logs::Form;
use super::trace_and_count::CountedBody;
use super::*;
use crate::answer::{AnswerRefusalsLayer, CatchPanicLayer};
use crate::clock::Clock;
use crate::http::{Answer, AnswerBody, X_REQUEST_ID};
use crate::refusal::Refusal;
use crate::refused::Recorder;
use crate::request::{Arrival, Inbound};
use crate::team::{TeamId, UserId};

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("unpoisoned").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The outermost layer with its metrics and its log.
struct Watched {
    metrics: Arc<Metrics>,
    clock: Clock,
    layer: TraceAndCountLayer,
    output: Output,
    flush: Flush,
}

impl Watched {
    fn new() -> Self {
        let clock = Clock::moved("2026-11-22T14:26:00Z".parse().expect("a time"));
        let metrics = Arc::new(Metrics::new(clock.clone()).expect("a good table"));
        let output = Output::default();
        let dropped = metrics.catalogue().log_lines_dropped_total.series();
        let (sink, flush) = Sink::start(output.clone(), dropped).expect("a thread");
        let layer = TraceAndCountLayer::new(
            Arc::clone(&metrics),
            AccessLog::new(sink, Form::Json),
            None,
            clock.clone(),
            Recorder::default(),
            Arc::default(),
        );
        Self { metrics, clock, layer, output, flush }
    }

    /// The layer over a handler that may refuse or panic.
    fn over<S>(
        &self,
        inner: S,
    ) -> impl Service<Inbound<()>, Response = Response<CountedBody>, Error = Infallible> + use<S>
    where
        S: Service<Arrival<()>, Response = Answer, Error = Refusal>,
    {
        ServiceBuilder::new()
            .layer(self.layer.clone())
            .layer(CatchPanicLayer::new(self.clock.clone()))
            .layer(AnswerRefusalsLayer::new(self.clock.clone()))
            .service(inner)
    }

    fn at(&self, time: &str) {
        self.clock.set(format!("2026-11-22T14:26:{time}Z").parse().expect(time));
    }

    fn requests(&self, route: &str, code: &str) -> u64 {
        self.metrics.catalogue().http_requests_total.with([route, code]).get()
    }

    fn in_flight(&self, route: &str) -> i64 {
        self.metrics.catalogue().http_in_flight.with([route]).get()
    }

    /// The access lines, once written.
    fn lines(self) -> Vec<serde_json::Value> {
        drop(self.flush);
        let text =
            String::from_utf8(self.output.0.lock().expect("unpoisoned").clone()).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

fn inbound(method: &str) -> Inbound<()> {
    let request =
        Request::builder().method(method).header(X_REQUEST_ID, "r1").body(()).expect("a request");
    Inbound { request, peer: IpAddr::V4(Ipv4Addr::LOCALHOST), too_late: false }
}

const ROUTE: &str = "/api/v1/{model}";

fn routed(arrival: &Arrival<()>) {
    arrival.record.facts().route = Some(ROUTE);
}

#[tokio::test]
async fn an_answered_request_is_logged_once_its_body_is_written() {
    let watched = Watched::new();
    let clock = watched.clock.clone();
    let service = watched.over(service_fn(move |arrival: Arrival<()>| {
        routed(&arrival);
        let mut facts = arrival.record.facts();
        facts.upstream = std::time::Duration::from_secs(2);
        facts.queue = std::time::Duration::from_millis(500);
        clock.set("2026-11-22T14:26:03Z".parse().expect("a time"));
        async { Ok(Answer::new(AnswerBody::new("12345"))) }
    }));
    let answer = service.oneshot(inbound("POST")).await.expect("never fails");
    assert_eq!(answer.headers()[X_REQUEST_ID], "r1");
    assert_eq!(
        (watched.in_flight(ROUTE), watched.requests(ROUTE, "200")),
        (1, 0),
        "its body is not written yet"
    );
    watched.at("04");
    assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes().as_ref(), b"12345");
    assert_eq!((watched.in_flight(ROUTE), watched.requests(ROUTE, "200")), (0, 1));
    assert_eq!(watched.metrics.catalogue().overhead_seconds.count(), 1);

    let line = watched.lines().remove(0);
    assert_eq!(line["outcome"], "ok");
    assert_eq!(line["bytes_out"], 5);
    assert_eq!(line["duration_ms"], 4000.0);
    assert_eq!(line["own_ms"], 500.0);
    assert_eq!(line["trace_id"].as_str().expect("a trace").len(), 32);
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_answer_counts_as_499() {
    let watched = Watched::new();
    let service = watched.over(service_fn(|arrival: Arrival<()>| async move {
        routed(&arrival);
        pending::<Result<Answer, Refusal>>().await
    }));
    {
        let mut future = pin!(service.oneshot(inbound("POST")));
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending));
        assert_eq!(watched.in_flight(ROUTE), 1);
    }
    assert_eq!((watched.in_flight(ROUTE), watched.requests(ROUTE, "499")), (0, 1));
    assert_eq!(watched.metrics.catalogue().overhead_seconds.count(), 0);
    let line = watched.lines().remove(0);
    assert_eq!((line["outcome"].as_str(), line["status"].as_u64()), (Some("abandoned"), Some(499)));
}

#[tokio::test]
async fn a_caller_who_leaves_mid_answer_has_abandoned_it() {
    let watched = Watched::new();
    let service = watched.over(service_fn(|_| async { Ok(Answer::new(AnswerBody::new("12345"))) }));
    drop(service.oneshot(inbound("GET")).await);
    assert_eq!(watched.requests("none", "200"), 1);
    assert_eq!(watched.lines()[0]["outcome"], "abandoned");
}

#[tokio::test]
async fn empty_answers_and_answers_to_head_are_whole() {
    let watched = Watched::new();
    let full = watched.over(service_fn(|_| async { Ok(Answer::new(AnswerBody::new("12345"))) }));
    drop(full.oneshot(inbound("HEAD")).await);
    let empty = watched.over(service_fn(|_| async { Ok(Answer::default()) }));
    drop(empty.oneshot(inbound("GET")).await);
    let outcomes: Vec<_> =
        watched.lines().into_iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["ok", "ok"]);
}

#[tokio::test]
async fn refusals_are_counted_by_code_source_and_known_team() {
    let watched = Watched::new();
    let service = watched.over(service_fn(|arrival: Arrival<()>| {
        arrival.record.facts().team = TeamId::parse("design");
        arrival.record.facts().user = UserId::parse("alice");
        async { Err(Refusal::TeamSuspended) }
    }));
    let answer = service.oneshot(inbound("GET")).await.expect("never fails");
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(answer.headers()[X_REQUEST_ID], "r1");
    drop(answer);
    // The team is not configured, so its name is no label.
    assert_eq!(
        watched.metrics.catalogue().refusals_total.with(["", "team_suspended", "policy"]).get(),
        1
    );
    // It would hide what calls wait for.
    assert_eq!(watched.metrics.catalogue().overhead_seconds.count(), 0);
    let line = watched.lines().remove(0);
    assert_eq!(
        (line["outcome"].as_str(), line["code"].as_str()),
        (Some("refused"), Some("team_suspended"))
    );
    assert_eq!((line["team"].as_str(), line["user"].as_str()), (Some("design"), Some("alice")));
}

#[tokio::test]
async fn a_panic_is_answered_named_counted_and_logged_as_internal() {
    let watched = Watched::new();
    let service = watched.over(service_fn(|arrival: Arrival<()>| async move {
        routed(&arrival);
        if arrival.request.method() == "GET" {
            panic!("a bug");
        }
        Ok(Answer::default())
    }));
    let answer = service.oneshot(inbound("GET")).await.expect("never fails");
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.headers()[X_REQUEST_ID], "r1");
    drop(answer);
    assert_eq!(
        watched.metrics.catalogue().refusals_total.with(["", "internal", "gateway"]).get(),
        1
    );
    assert_eq!(watched.in_flight(ROUTE), 0);
    let line = watched.lines().remove(0);
    assert_eq!((line["code"].as_str(), line["level"].as_str()), (Some("internal"), Some("error")));
}

/// A trace is continued.
#[tokio::test]
async fn a_request_without_a_plain_id_gets_one() {
    let watched = Watched::new();
    let service = watched.over(service_fn(|arrival: Arrival<()>| async move {
        let facts = arrival.record.facts();
        let trace = facts.trace.expect("a trace").text();
        let traceparent = trace.as_str();
        assert!(traceparent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(!traceparent.contains("00f067aa0ba902b7"), "the span is the gateway's own");
        Ok(Answer::default())
    }));
    let mut inbound = inbound("GET");
    let headers = inbound.request.headers_mut();
    headers.insert(X_REQUEST_ID, "not plain".parse().expect("a value"));
    let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    headers.insert("traceparent", sent.parse().expect("a value"));
    let answer = service.oneshot(inbound).await.expect("never fails");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[X_REQUEST_ID].len(), 36);
}
