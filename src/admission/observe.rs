//! What admission tells whoever watches it.

use crate::credits::Credits;
use crate::ledger::{LimitStatus, Outcome};
use crate::pricing::Delivered;
use crate::team::TeamId;

/// How a settlement went, as the metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Result {
    /// It ended the reservation with this outcome.
    Ended(Outcome),
    /// The reservation had been ended before.
    Repeated,
}

/// Watches money move. Called on the hot path: implementations neither block nor allocate much.
pub trait Observer: Send + Sync + 'static {
    /// A call of this team was settled: what it was charged and what it delivered.
    fn settled(&self, team: &TeamId, model_label: &str, result: Result, charged: Credits, delivered: Delivered);

    /// The team's own limits, as the ledger has just told them.
    fn standings(&self, team: &TeamId, standings: &[LimitStatus]);

    /// A shadow limit would have refused this call.
    fn shadow_refused(&self, team: &TeamId, standing: &LimitStatus);

    /// How many reservations of the team are open, over all replicas.
    fn reservations_open(&self, team: &TeamId, open: u64);
}
