//! What several tests need: real servers beside the gateway.

pub(crate) mod proxy;
pub(crate) mod redis;
