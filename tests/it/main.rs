//! The integration tests, one binary: a module per promise, and what they share in `support`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod identity_issuers;
mod identity_keys;
mod identity_tokens;
mod simulator;
mod support;
mod tidy;
