//! Is this a well-formed request, and which of our routes is it.
//!
//! The vocabulary ([`arrival`], [`id`], [`lookup`], [`request_log`], [`route`], [`trace`]) is spoken by every room.

pub mod arrival;
pub mod buffer;
pub mod check_request;
pub mod description;
pub mod framing;
pub mod id;
pub mod lookup;
mod memory;
pub mod origin;
pub mod path;
pub mod request_log;
pub mod room;
pub mod route;
pub mod router;
pub mod settings;
pub mod share;
pub mod trace;

pub use arrival::{Arrival, Inbound, Routed};
pub use buffer::{Buffer, BufferPermit};
pub use description::OPENAPI;
pub use id::RequestId;
pub use origin::TrustedProxies;
pub use request_log::{RequestFacts, RequestLog, Wait};
pub use room::Room;
pub use route::Route;
pub use settings::Settings;
pub use share::Shares;
pub use trace::{TraceIds, Traceparent};
