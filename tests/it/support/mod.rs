//! What several tests need: real servers beside the gateway.

pub(crate) mod redis;
