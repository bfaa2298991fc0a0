//! Redis client of every room that keeps state there.
//!
//! Reading order: [`settings`] (where the servers are), `client` (the interface), then `exchange`,
//! `connection`, `link` and `dial`; [`outage`], `failure` and `breaker` (a store that does not
//! answer), `inspect` with [`flaw`] (whether it is set up safely), `answer` (typed answers),
//! [`observe`] (for metrics).
//!
//! Everything that is sent is safe to repeat: each operation has an id that the records remember.

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

/// Types of commands and answers.
pub(crate) use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, Script, Value, cmd};

pub(crate) use client::{Client, Replicas, run_script};
pub use flaw::{Flaw, Weight};
pub(crate) use link::Link;
pub use observe::{Observer, Unobserved};
pub use outage::Outage;
pub use settings::{Settings, StoreClock, Topology, UnusableSettings};
