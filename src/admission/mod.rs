//! The layer that prices a call, reserves what it may cost, and settles what it did cost.
//!
//! Reading order: [`admit`] (the layer), [`build_admission`] (the admission for the ledger),
//! [`at_hand`] (whether the call can go out at once), [`into_refusal`] (a refusal of the ledger),
//! [`reservation`] (one call's money, until its settlement), [`admitted`] (the way to the upstream
//! and back), [`call_state`] and [`run_to_completion`] (a sent call outlives its caller),
//! [`settle`] (what an end costs), [`response_headers`] (cost and limits for the caller), [`slots`]
//! (slots of answers that are being read) and [`undelivered`] (of small answers that are not),
//! [`reservation_manager`] with [`open`] (renewals, and settlements that wait for the store),
//! [`sweeper`] (sweeps and gauges, once a process); [`tell_limits`] (the layer that states limits
//! on every answer) with [`latest`] (their latest reading).

pub mod admit;
pub mod admitted;
pub mod at_hand;
pub mod build_admission;
pub mod call_state;
pub mod into_refusal;
pub mod latest;
pub mod observe;
pub mod open;
pub mod reservation;
pub mod reservation_manager;
pub mod response_headers;
pub mod run_to_completion;
pub mod settle;
pub mod slots;
pub mod sweeper;
pub mod tell_limits;
pub mod undelivered;

pub use admit::Admit;
pub use admitted::{Admitted, Forwarded};
pub use at_hand::AtHand;
pub use latest::Latest;
pub use observe::Observer;
pub use reservation::Reservation;
pub use reservation_manager::ReservationManager;
pub use tell_limits::TellLimitsLayer;
pub use undelivered::Undelivered;
