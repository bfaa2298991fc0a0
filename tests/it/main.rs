//! The integration tests, one binary. The modules mirror the rooms of `src`; `system` is the whole
//! product, `shipped` is what comes beside it, and `support` is what the tests share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation
)]

mod admin;
mod cli;
mod config;
mod https;
mod idempotency;
mod identity;
mod ledger;
mod pages;
mod permits;
mod request;
mod shipped;
mod simulator;
mod stack;
mod store;
mod support;
mod system;
mod telemetry;
mod tidy;
mod webhook;
