//! Everything that needs sockets or processes, as one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod simulator;
