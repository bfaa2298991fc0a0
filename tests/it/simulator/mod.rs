//! The simulated Firemoon behaves as the real one is known to, and fails exactly as a test orders.

mod books;
mod client;
mod command;
mod documented;
mod faults;
mod page;
mod undocumented;
