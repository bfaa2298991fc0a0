//! Idempotency keys, and answers kept for callers who left: the two stores, and the whole gateway.

pub(crate) mod claims;
pub(crate) mod gateway;
mod left;
mod on_the_way;
mod own_time;
mod owner;
mod redis;
mod requests;
pub(crate) mod store;
