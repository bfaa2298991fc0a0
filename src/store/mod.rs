//! How Redis is reached: one client for every room that keeps something there.
//!
//! Reading order: [`settings`] (where the servers are), `client` (what its users call), over `exchange`, `connection`,
//! `link` and `dial`; [`outage`], `failure` and `breaker` (what to do when it does not answer), `inspect` with [`flaw`]
//! (whether it is set up safely), `answer` (how an answer is read), [`observe`] (who is told of all that).
//!
//! All that is sent is safe to repeat: each operation carries an id that the records know.

pub(crate) mod answer;
mod breaker;
pub(crate) mod client;
mod connection;
mod dial;
mod exchange;
mod failure;
pub mod flaw;
mod inspect;
pub(crate) mod link;
pub mod observe;
pub mod outage;
pub mod settings;

/// What commands and answers are made of.
pub(crate) use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, Script, Value, cmd};

pub(crate) use client::{Client, Replicas, run_script};
pub use flaw::{Flaw, Weight};
pub(crate) use link::Link;
pub use observe::{Observer, Unobserved};
pub use outage::Outage;
pub use settings::{Settings, StoreClock, Topology, UnusableSettings};
