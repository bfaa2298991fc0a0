//! The gateway's integration tests, one binary: each file a promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, missing_docs)]

mod operator_listener;
