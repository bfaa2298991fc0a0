//! map
pub mod admin;
pub mod admission;
pub mod catalogue;
pub mod clock;
pub mod credits;
pub mod http;
pub mod identity;
pub mod ledger;
pub mod live;
pub mod pricing;
pub mod refusal;
pub mod request;
pub mod secret;
pub mod server;
pub mod team;
pub mod telemetry;
pub mod upstream;
