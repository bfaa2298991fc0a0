//! An earlier call whose answer is gone: what a refusal can still say about it.

use std::fmt;

use http::StatusCode;

use crate::credits::Credits;
use crate::ledger::ReservationId;

/// How that call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpentCall {
    /// The id; `None` for calls made before calls had ids of their own.
    pub id: Option<ReservationId>,
    /// The status of its answer.
    pub status: StatusCode,
    /// The charge.
    pub cost: Credits,
}

impl fmt::Display for SpentCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(f, "call {id} ended with status {}", self.status.as_u16())?,
            None => write!(f, "it ended with status {}", self.status.as_u16())?,
        }
        write!(f, " and cost {} credits", self.cost)
    }
}
