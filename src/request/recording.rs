//! The spans of a request whose trace is recorded: one for each stage that matters.
//!
//! A request that is not recorded has no recording; then a stage costs a look at a pointer, and
//! nothing is allocated or timed.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::{TraceIds, Traceparent};
use crate::refusal::Kind;

/// A stage of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The caller is authenticated.
    Authenticate,
    /// The body arrives.
    ReceiveBody,
    /// Another call with the same idempotency key is awaited.
    Join,
    /// The ledger is asked to reserve the price.
    Admit,
    /// The shared account is awaited.
    Queue,
    /// A connection to the upstream is made.
    Connect,
    /// The upstream works.
    Upstream,
    /// The call is settled in the ledger.
    Settle,
}

impl Stage {
    /// Name of its span.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::ReceiveBody => "receive_body",
            Self::Join => "join",
            Self::Admit => "admit",
            Self::Queue => "queue",
            Self::Connect => "connect",
            Self::Upstream => "upstream",
            Self::Settle => "settle",
        }
    }
}

/// Value of an attribute: never a credential, a header's value, a prompt or a media address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A whole number.
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    /// The name.
    pub name: Cow<'static, str>,
    /// The stage; `None` for the request itself.
    pub stage: Option<Stage>,
    /// The id.
    pub id: u64,
    /// When it began.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// Attributes.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it failed.
    pub failed: bool,
}

impl Span {
    /// Notes an attribute.
    pub fn note(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push((name, value.into()));
    }

    /// Notes that it failed, and why in one word.
    pub fn fail(&mut self, error: impl Into<Value>) {
        self.failed = true;
        self.note("error.type", error);
    }
}

/// The start of a recorded request.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    /// The trace, with the request's own span.
    pub trace: Traceparent,
    /// The trace as the caller sent it, with the caller's span.
    pub caller: Option<Traceparent>,
    /// The time by the clock.
    pub at: Timestamp,
    /// The monotonic time, from which all spans are measured.
    pub since: Instant,
}

/// All spans of a request that has ended.
#[derive(Debug)]
pub struct Recorded {
    /// The start.
    pub begin: Begin,
    /// The spans, each with its end.
    pub spans: Vec<Span>,
}

/// Takes what was recorded.
pub trait SpanSink: Debug + Send + Sync {
    /// Takes the spans of a request. Must not wait.
    fn take(&self, recorded: Recorded);
}

/// A recording under way. Its last owner hands it over: a call may outlive its caller.
#[derive(Debug)]
pub struct Recording {
    begin: Begin,
    spans: Mutex<Vec<Span>>,
    ids: Arc<TraceIds>,
    sink: Arc<dyn SpanSink>,
}

impl Recording {
    /// Begins; this sink gets the spans.
    #[must_use]
    pub fn new(begin: Begin, ids: Arc<TraceIds>, sink: Arc<dyn SpanSink>) -> Self {
        Self { begin, spans: Mutex::default(), ids, sink }
    }

    /// The span of the request itself, which ends now.
    #[must_use]
    pub fn of_request(&self, name: String) -> Span {
        let Begin { trace, since, .. } = self.begin;
        let (name, ended) = (name.into(), Instant::now());
        let (stage, attributes) = (None, Vec::new());
        Span { name, stage, id: trace.span(), began: since, ended, attributes, failed: false }
    }

    /// Adds a span.
    pub fn add(&self, span: Span) {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).push(span);
    }

    /// Begins a stage.
    pub(super) fn enter(self: &Arc<Self>, stage: Stage) -> StageSpan {
        let (id, now) = (self.ids.id(), Instant::now());
        let (began, ended, attributes) = (now, now, Vec::new());
        let name = stage.name().into();
        let stage = Some(stage);
        let span = Span { name, stage, id, began, ended, attributes, failed: false };
        StageSpan(Some(Box::new(Open { recording: Arc::clone(self), span })))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let spans = self.spans.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.sink.take(Recorded { begin: self.begin, spans: std::mem::take(spans) });
    }
}

/// A stage under way. Its span ends when this is dropped; nothing happens where nothing is
/// recorded.
#[derive(Debug, Default)]
#[must_use = "the span ends when it is dropped"]
pub struct StageSpan(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    recording: Arc<Recording>,
    span: Span,
}

impl StageSpan {
    /// The trace with this span as the parent of what is sent now; `None` when nothing is recorded.
    #[must_use]
    pub fn traceparent(&self) -> Option<Traceparent> {
        self.0.as_ref().map(|open| open.recording.begin.trace.with_span(open.span.id))
    }

    /// Writes to the span, where there is one.
    pub fn record(&mut self, write: impl FnOnce(&mut Span)) {
        if let Some(open) = &mut self.0 {
            write(&mut open.span);
        }
    }

    /// Notes that the stage refused the request. Only what is the gateway's or the upstream's fault
    /// is a failure.
    pub fn refused(&mut self, refusal: impl FnOnce() -> Kind) {
        self.record(|span| {
            let kind = refusal();
            span.note("moongate.code", kind.code);
            if kind.status.is_server_error() {
                span.fail(kind.code);
            }
        });
    }

    /// Ends it.
    pub fn end(self) {}
}

impl Drop for StageSpan {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let Open { recording, mut span } = *open;
            span.ended = Instant::now();
            recording.add(span);
        }
    }
}
