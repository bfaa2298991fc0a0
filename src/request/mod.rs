//! Is this a well-formed request, and which of our routes is it.
//!
//! The vocabulary ([`arrival`], [`id`], [`record`], [`route`], [`trace`]) is spoken by every room.

pub mod arrival;
pub mod id;
pub mod record;
pub mod route;
pub mod settings;
pub mod trace;

pub use arrival::{Arrival, Inbound};
pub use id::RequestId;
pub use record::{Facts, Record};
pub use route::Route;
pub use settings::Settings;
pub use trace::{TraceIds, Traceparent};
