//! The end of a reservation, and what it did.

use super::{CallResult, Outcome, ReservationId};
use crate::credits::Credits;

/// The end of a reservation.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Which reservation.
    pub id: ReservationId,
    /// How it ended.
    pub outcome: Outcome,
    /// What it cost; the store charges at most what was reserved, and nothing when released or refused.
    pub charged: Credits,
    /// What came back, for the row.
    pub came: CallResult,
    /// The answer is still to be read: until [`super::Ledger::release_slots`] the call keeps its slots, and nothing
    /// else.
    pub keeps_slots: bool,
}

/// What a settlement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It ended the reservation, charging this.
    Now(Credits),
    /// The reservation had been ended before, or never was: nothing changed.
    Before,
}
