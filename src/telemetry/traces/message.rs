//! Recordings as OTLP messages.

use std::time::Instant;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, SpanFlags, Status};
use prost::Message;

use crate::request::Stage;
use crate::request::recording::{self, Begin, Recorded, Value};

/// The spans of a request.
pub fn spans(recorded: Recorded) -> impl Iterator<Item = Span> {
    let Recorded { begin, spans } = recorded;
    spans.into_iter().map(move |span| message(&begin, span))
}

/// The body of a post: these spans of this process.
#[must_use]
pub fn body(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let scope = InstrumentationScope {
        name: "moongate".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans =
        vec![ScopeSpans { scope: Some(scope), spans: spans.to_vec(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans {
        resource: Some(resource.clone()),
        scope_spans,
        ..ResourceSpans::default()
    }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// An attribute.
#[must_use]
pub fn attribute(name: &str, value: Value) -> KeyValue {
    let value = match value {
        Value::Text(text) => Any::StringValue(text.into_owned()),
        Value::Number(number) => Any::IntValue(number),
    };
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn message(begin: &Begin, span: recording::Span) -> Span {
    // The request's own span is a child of the caller's, which is remote; stages are its children.
    let parent = match span.stage {
        None => begin.caller.map(|caller| caller.span()),
        Some(_) => Some(begin.trace.span()),
    };
    let is_remote = span.stage.is_none() && parent.is_some();
    let attributes = span.attributes.into_iter();
    Span {
        trace_id: begin.trace.trace_id().to_be_bytes().to_vec(),
        span_id: span.id.to_be_bytes().to_vec(),
        parent_span_id: parent.map(|parent| parent.to_be_bytes().to_vec()).unwrap_or_default(),
        flags: flags(begin.trace.flags(), is_remote),
        name: span.name.into_owned(),
        kind: kind(span.stage).into(),
        start_time_unix_nano: unix_nanos(begin, span.began),
        end_time_unix_nano: unix_nanos(begin, span.ended),
        attributes: attributes.map(|(name, value)| attribute(name, value)).collect(),
        status: span.failed.then(|| Status { code: StatusCode::Error.into(), ..Status::default() }),
        ..Span::default()
    }
}

const fn kind(stage: Option<Stage>) -> SpanKind {
    match stage {
        None => SpanKind::Server,
        Some(Stage::Upstream) => SpanKind::Client,
        Some(
            Stage::Authenticate
            | Stage::ReceiveBody
            | Stage::Join
            | Stage::Admit
            | Stage::Queue
            | Stage::Connect
            | Stage::Settle,
        ) => SpanKind::Internal,
    }
}

fn flags(trace: u8, parent_is_remote: bool) -> u32 {
    let known = SpanFlags::ContextHasIsRemoteMask as u32;
    let remote = if parent_is_remote { SpanFlags::ContextIsRemoteMask as u32 } else { 0 };
    u32::from(trace) | known | remote
}

/// The wall clock gives the request's start, the monotonic clock the time since: so a span is never
/// negative when the wall clock is set.
fn unix_nanos(begin: &Begin, moment: Instant) -> u64 {
    let after = moment.saturating_duration_since(begin.since).as_nanos();
    let since = u128::try_from(begin.at.as_nanosecond()).unwrap_or_default();
    u64::try_from(since + after).unwrap_or(u64::MAX)
}
