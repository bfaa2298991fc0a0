//! What a sweep ended.

use crate::credits::Credits;

/// Reservations that a sweep ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Waiting reservations released.
    pub released: u64,
    /// Reservations of turned back calls, settled as refused.
    pub refused: u64,
    /// Dispatched reservations settled as unknown.
    pub unknown: u64,
}

/// Charges of a sweep for one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweptCharge {
    /// The model.
    pub model: String,
    /// The sum.
    pub credits: Credits,
}
