//! map
mod explain;
pub mod file;
pub mod report;
pub mod schema;
mod secrets;
mod structure;
mod tree;
mod units;
