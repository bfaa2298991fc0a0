//! What the tests share: parts that stand in for the world around the gateway.
#![allow(unreachable_pub)]

pub mod authenticators;
pub mod authority;
pub mod blocking;
pub mod caller;
pub mod collector;
pub mod firemoon;
pub mod gateway;
pub mod installation;
pub mod issuer;
pub mod operator;
pub mod proxy;
pub mod receiver;
pub mod redis;
pub mod shared_key;
pub mod stored;
pub mod tokens;
