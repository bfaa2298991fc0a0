//! Settlement of a reservation.

use super::{CallResult, Outcome, ReservationId};
use crate::credits::Credits;

/// The end of a reservation.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The reservation.
    pub id: ReservationId,
    /// The outcome.
    pub outcome: Outcome,
    /// What it cost. The store charges at most the reserved price, and nothing when released or
    /// refused.
    pub charged: Credits,
    /// Result of the call, for the row.
    pub result: CallResult,
    /// Whether the answer is still to be read: then the call keeps its slots until
    /// [`super::Ledger::release_slots`].
    pub keeps_slots: bool,
}

/// Result of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Ended the reservation and charged this.
    Now(Credits),
    /// The reservation had ended before, or never existed: nothing changed.
    Before,
}
