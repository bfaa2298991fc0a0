//! Prices of calls: the most one may cost, and what it did cost. Pure functions over a price table;
//! no I/O.
//!
//! [`price::PriceTable`] holds the prices, [`body`] reads a call's order, [`delivery`] reads its
//! delivery, [`listed`] compares the table with the upstream's.

pub mod body;
pub mod delivery;
pub mod listed;
pub mod price;

pub use body::Wrong;
pub use listed::{Compared, Listed, Per, State, compare};
pub use price::{Delivered, Order, Price, PriceTable};
