//! Admission: a request to reserve credits and calls, and the ledger's verdict.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{CallSummary, Level, LimitStatus, Phase, ReservationId};
use crate::credits::Credits;
use crate::team::TeamId;

/// A request to spend.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Id of the reservation, which all later operations on it carry. Admitting one id twice admits
    /// once.
    pub id: ReservationId,
    /// The team that pays.
    pub team: TeamId,
    /// Levels whose limits apply: the team, the user, and the gateway key if one was used.
    pub levels: Vec<Level>,
    /// Time zone of the team's days and months.
    pub time_zone: TimeZone,
    /// The most the call can cost.
    pub price: Credits,
    /// Whether the call waits before it is sent.
    pub phase: Phase,
    /// Facts of the call for its row.
    pub summary: Arc<CallSummary>,
}

/// The ledger's verdict on an admission.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Reserved in every window of every level.
    Admitted {
        /// Every limit after the reservation: levels as in the request, within a level in the order
        /// of its limits.
        statuses: Vec<LimitStatus>,
        /// The store's time.
        at: Timestamp,
    },
    /// Refused: nothing was reserved or counted.
    Refused {
        /// Every limit, in the same order.
        statuses: Vec<LimitStatus>,
        /// The limit that refused: of several, the one with the longest wait.
        binding: usize,
        /// When the call could pass; `None` when waiting will not help (a prepaid or zero budget).
        retry_at: Option<Timestamp>,
        /// The store's time.
        at: Timestamp,
    },
}
