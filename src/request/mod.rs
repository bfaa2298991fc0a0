//! Is this a well-formed request, and which of our routes is it.
//!
//! The vocabulary ([`arrival`], [`id`], [`lookup`], [`record`], [`route`], [`trace`]) is spoken by every room.

pub mod arrival;
pub mod buffer;
pub mod check_request;
pub mod description;
pub mod fork;
pub mod framing;
pub mod id;
pub mod lookup;
mod memory;
pub mod origin;
pub mod path;
pub mod record;
pub mod room;
pub mod route;
pub mod settings;
pub mod share;
pub mod trace;

pub use arrival::{Arrival, Inbound, Routed};
pub use buffer::{Buffer, Held};
pub use description::OPENAPI;
pub use id::RequestId;
pub use origin::TrustedProxies;
pub use record::{Facts, Record, Wait};
pub use room::Room;
pub use route::Route;
pub use settings::Settings;
pub use share::Shares;
pub use trace::{TraceIds, Traceparent};
