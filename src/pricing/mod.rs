//! What a call may cost at most, and what it did cost. Pure functions over a price table; no I/O.
//!
//! [`price::PriceTable`] says what things cost, [`asked`] reads what a body asks for, [`came`] reads what came back,
//! [`listed`] holds the table against the upstream's own.

pub mod asked;
pub mod came;
pub mod listed;
pub mod price;

pub use asked::Wrong;
pub use listed::{Compared, Listed, Per, State, compare};
pub use price::{Delivered, Order, Price, PriceTable};
