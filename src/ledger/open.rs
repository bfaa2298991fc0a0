//! An open call, known by its reservation on any replica.

use std::sync::Arc;

use jiff::Timestamp;

use super::{CallSummary, Phase, ReservationId};
use crate::credits::Credits;

/// The most open calls of a team that are listed, newest first.
pub const OPEN_CALLS_MAX: usize = 1000;

/// An open call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCall {
    /// The id.
    pub id: ReservationId,
    /// The phase.
    pub phase: Phase,
    /// The most it can cost.
    pub reserved: Credits,
    /// When it was admitted.
    pub admitted_at: Timestamp,
    /// Facts of the call.
    pub summary: Arc<CallSummary>,
}
