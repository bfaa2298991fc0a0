//! Checks that a request is well-formed, and finds its route.
//!
//! All rooms use its vocabulary: [`arrival`], [`id`], [`lookup`], [`recording`], [`request_log`],
//! [`route`], [`trace`].

pub mod answer_permit;
pub mod arrival;
pub mod buffer;
pub mod check_request;
pub mod cors;
pub mod description;
pub mod framing;
pub mod health;
pub mod id;
pub mod lookup;
mod memory;
pub mod origin;
pub mod path;
pub mod recording;
pub mod request_log;
pub mod route;
pub mod router;
pub mod settings;
pub mod share;
pub mod trace;

pub use answer_permit::AnswerPermit;
pub use arrival::{Arrival, Inbound, Routed};
pub use buffer::{Buffer, BufferPermit};
pub use description::OPENAPI;
pub use id::RequestId;
pub use origin::TrustedProxies;
pub use recording::{Recording, Stage, StageSpan};
pub use request_log::{RequestFacts, RequestLog, Wait};
pub use route::Route;
pub use settings::Settings;
pub use share::Shares;
pub use trace::{TraceIds, Traceparent};
