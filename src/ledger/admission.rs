//! A request to spend, and the ledger's answer to it.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{CallSummary, Level, LimitStatus, Phase, ReservationId};
use crate::credits::Credits;
use crate::team::TeamId;

/// A request to spend.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Names the reservation; every later word about it carries the same id. Admitting one id twice admits once.
    pub id: ReservationId,
    /// The team that pays.
    pub team: TeamId,
    /// Every level whose limits hold: the team, the user, the gateway key if one was used.
    pub levels: Vec<Level>,
    /// Where the team's days and months begin.
    pub time_zone: TimeZone,
    /// The highest price the call can have.
    pub price: Credits,
    /// Whether the call must wait before it is sent.
    pub phase: Phase,
    /// What the row will say of the call.
    pub asked: Arc<CallSummary>,
}

/// The ledger's answer to an admission.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Reserved in every window of every level.
    Admitted {
        /// Every limit after the reservation, level by level in the order asked, each level in the order of its limits.
        standings: Vec<LimitStatus>,
        /// The store's time.
        at: Timestamp,
    },
    /// Nothing was reserved or counted anywhere.
    Refused {
        /// Every limit as it stands, as above.
        standings: Vec<LimitStatus>,
        /// Which of them refused: of several, the one that would make the caller wait longest.
        binding: usize,
        /// When the call could pass at the earliest; `None` when no time will help (a prepaid or zero budget).
        retry_at: Option<Timestamp>,
        /// The store's time.
        at: Timestamp,
    },
}
