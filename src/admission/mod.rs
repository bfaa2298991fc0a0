//! The layer that prices a call, reserves what it may cost, and settles what it did cost.
//!
//! Reading order: [`admit`] (the layer), [`ask`] (what a call asks of the ledger), [`at_hand`] (whether it need not wait), [`denial`] (the ledger's no), [`settle`] (what an end costs), [`told`] (what the caller
//! is told of it), [`slots`] (slots of answers that are being read) and [`undelivered`] (of small ones that are not), [`keeper`] (what must go on beside a worker's calls: heart-beats, settlements that wait for the store),
//! [`patrol`] (sweeps and gauges, once a process), [`passage`] (how far a call is), [`detach`] (a call that was
//! sent outlives its caller); [`tell_limits`] (the layer that says on every answer how limits stand) with [`latest`] (what is
//! known of them).

pub mod admit;
pub mod ask;
pub mod at_hand;
pub mod denial;
pub mod detach;
pub mod keeper;
pub mod latest;
pub mod observe;
pub mod open;
pub mod passage;
pub mod patrol;
pub mod settle;
pub mod slots;
pub mod tell_limits;
pub mod told;
pub mod undelivered;

pub use admit::{AdmitLayer, Admitted};
pub use at_hand::AtHand;
pub use keeper::Keeper;
pub use latest::Latest;
pub use observe::Observer;
pub use passage::Passage;
pub use tell_limits::TellLimitsLayer;
pub use undelivered::Undelivered;
