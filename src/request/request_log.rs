//! What the layers learn of one request, for its access line and its metrics. Never a credential, a body or a header
//! value.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;

use super::Traceparent;
use crate::credits::Credits;
use crate::ledger::ReservationId;
use crate::model::ModelId;
use crate::refusal::Kind;
use crate::team::{Credential, TeamId, UserId};

/// The record of one request. Clones are the same record: the outermost layer reads what the inner ones noted.
#[derive(Clone, Debug, Default)]
pub struct RequestLog(Arc<Mutex<RequestFacts>>);

/// What is known so far.
#[derive(Debug, Default)]
pub struct RequestFacts {
    /// The route's name in the table of routes, `none` until it is known.
    pub route: Option<&'static str>,
    /// The team, once the caller is known.
    pub team: Option<TeamId>,
    /// The user.
    pub user: Option<UserId>,
    /// The credential: the gateway key's public id, or the token's issuer.
    pub credential: Option<Credential>,
    /// The call's own id, once a known caller has asked for a generation.
    pub call_id: Option<ReservationId>,
    /// The model asked for: for the log, not for a label.
    pub model: Option<ModelId>,
    /// Whether the model has a price, so that its name may become a label; `other` is the label when not.
    pub model_is_priced: bool,
    /// The refusal, when it ended in one.
    pub refusal: Option<Kind>,
    /// What the call cost, once it is settled.
    pub charged: Option<Credits>,
    /// Taking in the body: the caller's time, not the gateway's.
    pub receiving: Duration,
    /// Waiting for the shared account.
    pub queue: Duration,
    /// At the upstream, from the first byte sent to the last received.
    pub upstream: Duration,
    /// Waiting for the answer of another call with the same idempotency key.
    pub joined: Duration,
    /// What it waits for now, and since when: its caller may leave before that is over.
    pub waits: Option<(Wait, Instant)>,
    /// The status the upstream gave, when it gave one.
    pub upstream_status: Option<u16>,
    /// The trace this request belongs to, with a span of the gateway's own: sent with what is done for it.
    pub trace: Option<Traceparent>,
    /// Headers that an answer to an admitted call carries, for the case that it is a refusal.
    pub pending_headers: HeaderMap,
    /// Bytes of the request's body.
    pub bytes_in: u64,
}

/// What a request waits for that is not the gateway's own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Its caller, who sends the body.
    Body,
    /// The shared account.
    Queue,
    /// The upstream.
    Upstream,
    /// Another call, with the same idempotency key.
    Other,
}

impl RequestFacts {
    /// From now on it waits.
    pub fn waits_for(&mut self, wait: Wait) {
        self.waits = Some((wait, Instant::now()));
    }

    /// What it waited for has come, or nobody waits any more.
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

    /// How long it has waited in all for what is not the gateway's own work.
    #[must_use]
    pub fn elsewhere(&self) -> Duration {
        self.receiving + self.queue + self.upstream + self.joined
    }

    /// The model as a metric label: only priced models have one of their own.
    #[must_use]
    pub fn model_label(&self) -> &str {
        match &self.model {
            Some(model) if self.model_is_priced => model.as_str(),
            Some(_) | None => "other",
        }
    }
}

impl RequestLog {
    /// The facts, to read or to add to. Never held across an await.
    pub fn facts(&self) -> MutexGuard<'_, RequestFacts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
