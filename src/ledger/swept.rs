//! What was ended that a replica which died had left behind.

use crate::credits::Credits;

/// What a sweep ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Waiting reservations released.
    pub released: u64,
    /// Reservations whose calls had been turned back, settled as refused.
    pub refused: u64,
    /// Dispatched reservations settled as unknown.
    pub unknown: u64,
}

/// What calls of one model were charged that a sweep ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweptCharge {
    /// The model.
    pub model: String,
    /// Together.
    pub credits: Credits,
}
