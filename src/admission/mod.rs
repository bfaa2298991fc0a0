//! The layer that prices a call, reserves what it may cost, and settles what it did cost.

pub mod observe;

pub use observe::Observer;
