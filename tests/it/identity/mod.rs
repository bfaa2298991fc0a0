//! Which tokens and keys are accepted, and why are all others refused?

mod attacks;
mod fetch;
mod issuers;
mod keys;
mod kubernetes;
mod reasons;
mod register;
mod store;
mod tokens;
