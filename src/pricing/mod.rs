//! What a call may cost at most, and what it did cost. Pure functions over a price table; no I/O.
//!
//! [`price::PriceTable`] says what things cost, [`asked`] reads what a body asks for, [`came`] reads what came back.

pub mod asked;
pub mod came;
pub mod price;

pub use asked::{Order, Wrong};
pub use came::Delivered;
pub use price::{Price, PriceTable};
