//! The gateway's integration tests, one binary: each file a promise.
#![allow(clippy::expect_used, missing_docs)]

mod operator_listener;
