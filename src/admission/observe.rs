//! Reports from admission to metrics.

use crate::credits::Credits;
use crate::ledger::{LimitStatus, Outcome};
use crate::pricing::Delivered;
use crate::team::TeamId;

/// The result of a settlement, as the metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Result {
    /// Ended the reservation with this outcome.
    Ended(Outcome),
    /// The reservation had been ended before.
    Repeated,
}

/// Receives reports about money. Called on the hot path: implementations neither block nor allocate
/// much.
pub trait Observer: Send + Sync + 'static {
    /// Reports a settled call of this team: its charge and what it delivered.
    fn settled(
        &self,
        team: &TeamId,
        model_label: &str,
        result: Result,
        charged: Credits,
        delivered: Delivered,
    );

    /// Reports the team's own limits as the ledger last returned them.
    fn limit_statuses(&self, team: &TeamId, statuses: &[LimitStatus]);

    /// Reports a call that a shadow limit would have refused.
    fn shadow_refused(&self, team: &TeamId, status: &LimitStatus);

    /// Reports the team's open reservations, over all replicas.
    fn reservations_open(&self, team: &TeamId, open: u64);
}
