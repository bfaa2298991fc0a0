//! What the tests share: parts that stand in for the world around the gateway.
#![allow(unreachable_pub)]

pub mod directory;
pub mod issuer;
pub mod redis;
pub mod tokens;
