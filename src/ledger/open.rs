//! A call that has not ended, as its reservation tells of it: on any replica, whichever makes the call.

use std::sync::Arc;

use jiff::Timestamp;

use super::{CallSummary, Phase, ReservationId};
use crate::credits::Credits;

/// How many open calls of a team are told of at most, newest first.
pub const OPEN_CALLS_MAX: usize = 1000;

/// An open call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCall {
    /// Its id.
    pub id: ReservationId,
    /// How far it has come.
    pub phase: Phase,
    /// The most it can cost.
    pub reserved: Credits,
    /// When it was admitted.
    pub admitted_at: Timestamp,
    /// What is asked for.
    pub asked: Arc<CallSummary>,
}
