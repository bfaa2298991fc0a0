//! The layer that prices a call, reserves what it may cost, and settles what it did cost.
//!
//! Reading order: [`admit`] (the layer), [`ask`] (what a call asks of the ledger), [`denial`] (the ledger's no), [`settle`] (what an end costs), [`told`] (what the caller
//! is told of it), [`keeper`] (what must go on beside a worker's calls: heart-beats, settlements that wait for the store),
//! [`patrol`] (sweeps and gauges, once a process), [`passage`] (how far a call is), [`detach`] (a call that was
//! sent outlives its caller).

pub mod admit;
pub mod ask;
pub mod denial;
pub mod detach;
pub mod keeper;
pub mod observe;
pub mod open;
pub mod passage;
pub mod patrol;
pub mod settle;
pub mod told;

pub use admit::{AdmitLayer, Admitted};
pub use keeper::Keeper;
pub use observe::Observer;
pub use passage::Passage;
