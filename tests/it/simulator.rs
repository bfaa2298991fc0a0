//! The simulated Firemoon holds to what is known of the real one, and fails in exactly the ways it is told to.

mod books;
mod client;
mod command;
mod documented;
mod faults;
mod page;
mod undocumented;
