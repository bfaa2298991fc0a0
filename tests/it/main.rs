//! Every test of the whole: one binary, one file per promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ledger_conformance;
mod ledger_model;
mod ledger_redis;
mod support;
