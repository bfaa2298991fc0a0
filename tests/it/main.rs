//! The integration tests, one binary: a module per promise, and what they share in `support`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod identity_attacks;
mod identity_issuers;
mod identity_keys;
mod identity_tokens;
mod ledger_conformance;
mod ledger_embedded;
mod ledger_model;
mod ledger_redis;
mod simulator;
mod support;
