//! Facts that the layers note about one request, for its access line and metrics. Never a
//! credential, a body or a header value.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;

use super::{Recording, Stage, StageSpan, Traceparent};
use crate::credits::Credits;
use crate::ledger::ReservationId;
use crate::model::ModelId;
use crate::refusal::Kind;
use crate::team::{Credential, TeamId, UserId};

/// Log of one request. Clones share it: the outermost layer reads what the inner ones noted.
#[derive(Clone, Debug, Default)]
pub struct RequestLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    facts: Mutex<RequestFacts>,
    /// The spans, where the trace is recorded.
    recording: Option<Arc<Recording>>,
}

/// Facts noted so far.
#[derive(Debug, Default)]
pub struct RequestFacts {
    /// The route's name in the table of routes; `none` until it is found.
    pub route: Option<&'static str>,
    /// The caller's address: its peer's, or the one that a trusted proxy reports.
    pub client: Option<IpAddr>,
    /// The team, once the caller is known.
    pub team: Option<TeamId>,
    /// The user.
    pub user: Option<UserId>,
    /// The credential: the gateway key's public id, or the token's issuer.
    pub credential: Option<Credential>,
    /// The call's own id, once an authenticated caller asks for a generation.
    pub call_id: Option<ReservationId>,
    /// The model in the request: for the log, not for a label.
    pub model: Option<ModelId>,
    /// Whether the model has a price. Only then is its name a label; otherwise the label is
    /// `other`.
    pub model_is_priced: bool,
    /// The refusal it ended in.
    pub refusal: Option<Kind>,
    /// The limit that refused it, with its level: `user:requests_per_minute`.
    pub limit: Option<String>,
    /// The message of the refusal, when a call was refused.
    pub message: Option<String>,
    /// How its idempotency key took the place of a call: the kind in the metrics.
    pub replay: Option<&'static str>,
    /// What the call cost, once it is settled.
    pub charged: Option<Credits>,
    /// Time to receive the body: the caller's, not the gateway's.
    pub receiving: Duration,
    /// Time in the queue for the shared account.
    pub queue: Duration,
    /// Time at the upstream, from the first byte sent to the last received.
    pub upstream: Duration,
    /// Time spent waiting for another call with the same idempotency key.
    pub joined: Duration,
    /// Time that the refusal of a failed credential was delayed on purpose.
    pub delayed: Duration,
    /// The current wait and since when. Noted at the start, because the caller may leave during it.
    pub waits: Option<(Wait, Instant)>,
    /// Name of the shared key that the call was last sent with.
    pub upstream_key: Option<Arc<str>>,
    /// The upstream's status, if it answered.
    pub upstream_status: Option<u16>,
    /// The trace, with a span of the gateway's own, which requests made for it carry.
    pub trace: Option<Traceparent>,
    /// Headers that the answer to an admitted call carries even if it is a refusal.
    pub pending_headers: HeaderMap,
    /// Bytes of the request's body.
    pub bytes_in: u64,
}

/// A wait for something outside the gateway's own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The caller, who sends the body.
    Body,
    /// The shared account.
    Queue,
    /// The upstream.
    Upstream,
    /// Another call, with the same idempotency key.
    Other,
}

impl RequestFacts {
    /// Starts a wait.
    pub fn waits_for(&mut self, wait: Wait) {
        self.waits = Some((wait, Instant::now()));
    }

    /// Ends the wait: it is over, or its caller left.
    pub fn waited(&mut self) {
        let Some((wait, since)) = self.waits.take() else { return };
        let waited = match wait {
            Wait::Body => &mut self.receiving,
            Wait::Queue => &mut self.queue,
            Wait::Upstream => &mut self.upstream,
            Wait::Other => &mut self.joined,
        };
        *waited += since.elapsed();
    }

    /// Total time spent waiting, which is not the gateway's own work.
    #[must_use]
    pub fn elsewhere(&self) -> Duration {
        self.receiving + self.queue + self.upstream + self.joined + self.delayed
    }

    /// The model as a metric label: `other` unless it has a price.
    #[must_use]
    pub fn model_label(&self) -> &str {
        match &self.model {
            Some(model) if self.model_is_priced => model.as_str(),
            Some(_) | None => "other",
        }
    }
}

impl RequestLog {
    /// The log of a request in this trace, with its spans where that is recorded.
    #[must_use]
    pub fn traced(trace: Traceparent, recording: Option<Arc<Recording>>) -> Self {
        let facts = Mutex::new(RequestFacts { trace: Some(trace), ..RequestFacts::default() });
        Self(Arc::new(Shared { facts, recording }))
    }

    /// Locks the facts. Never hold it across an await.
    pub fn facts(&self) -> MutexGuard<'_, RequestFacts> {
        self.0.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request's spans, where its trace is recorded.
    #[must_use]
    pub fn recording(&self) -> Option<&Arc<Recording>> {
        self.0.recording.as_ref()
    }

    /// Begins a stage: where the trace is recorded, it becomes a span when the result is dropped.
    pub fn enter(&self, stage: Stage) -> StageSpan {
        self.recording().map_or_else(StageSpan::default, |recording| recording.enter(stage))
    }
}
