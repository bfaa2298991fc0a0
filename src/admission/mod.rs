//! The layer that prices a call, reserves what it may cost, and settles what it did cost.
//!
//! Reading order: [`admit`] (the layer), [`build_admission`] (what a call asks of the ledger), [`at_hand`] (whether it
//! need not wait), [`into_refusal`] (the ledger's no), [`settle`] (what an end costs), [`response_headers`] (what the
//! caller is told of it), [`slots`] (slots of answers that are being read) and [`undelivered`] (of small ones that are
//! not), [`reservation_manager`] (what must go on beside a worker's calls: heart-beats, settlements that wait for the
//! store), [`sweeper`] (sweeps and gauges, once a process), [`passage`] (how far a call is), [`run_to_completion`] (a
//! call that was sent outlives its caller); [`tell_limits`] (the layer that says on every answer how limits stand) with
//! [`latest`] (what is known of them).

pub mod admit;
pub mod at_hand;
pub mod build_admission;
pub mod into_refusal;
pub mod latest;
pub mod observe;
pub mod open;
pub mod passage;
pub mod reservation_manager;
pub mod response_headers;
pub mod run_to_completion;
pub mod settle;
pub mod slots;
pub mod sweeper;
pub mod tell_limits;
pub mod undelivered;

pub use admit::{AdmitLayer, Admitted};
pub use at_hand::AtHand;
pub use latest::Latest;
pub use observe::Observer;
pub use passage::Passage;
pub use reservation_manager::ReservationManager;
pub use tell_limits::TellLimitsLayer;
pub use undelivered::Undelivered;
