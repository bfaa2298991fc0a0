//! What the tests share: parts that stand in for the world around the gateway.

pub mod directory;
pub mod issuer;
pub mod tokens;
