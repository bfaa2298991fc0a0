//! A call that was made and paid before: what can be told of it when its answer cannot.

use std::fmt;

use http::StatusCode;

use crate::credits::Credits;
use crate::ledger::ReservationId;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpentCall {
    /// The call; `None` when it was made before calls had ids of their own.
    pub id: Option<ReservationId>,
    /// The status that its caller was told, or would have been.
    pub status: StatusCode,
    /// What it was charged.
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
