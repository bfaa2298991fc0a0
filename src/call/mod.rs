//! What travels the paid path: a call as it is wanted, as its caller may make it, whole with its
//! body, and what becomes of it.
//!
//! Reading order: [`authorize`] (may this caller use this model), [`key`] (what makes two calls the
//! same one), [`collect`] (its body), [`outcome`] (what came of it). Every room below on the path
//! speaks of these.

pub mod authorize;
pub mod collect;
pub mod key;
pub mod outcome;

pub use authorize::{AuthorizeLayer, Authorized, Wanted};
pub use collect::{Collect, PaidCall};
pub use key::{Fingerprint, KeyHash};
pub use outcome::{ExecutionOutcome, UpstreamResponse};
