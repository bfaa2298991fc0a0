//! Which tokens and keys are accepted, and why are all others refused?

mod attacks;
mod fetch;
mod issuers;
mod keys;
mod kubernetes;
mod reasons;
mod registry;
mod store;
mod tokens;
