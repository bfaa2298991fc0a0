//! What a call may cost at most, and what it did cost.

/// Prices by model.
#[derive(Debug, Default)]
pub struct PriceTable {}
