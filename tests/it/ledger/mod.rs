//! Does every store count the same, call by call, and lose nothing whatever happens to it?

pub(crate) mod conformance;
mod embedded;
mod file;
mod model;
mod redis;
mod stress;
