//! A paid call in its stages: wanted, authorized, with its body, and its outcome.
//!
//! Reading order: [`authorize`] (may this caller use this model), [`key`] (recognizes repeated
//! calls), [`collect`] (reads the body), [`outcome`] (how it ended). All rooms below on the path
//! use these types.

pub mod authorize;
pub mod collect;
pub mod key;
pub mod outcome;

pub use authorize::{AuthorizeLayer, Authorized, CallRequest};
pub use collect::{Collect, PaidCall};
pub use key::{Fingerprint, KeyHash};
pub use outcome::{ExecutionOutcome, UpstreamResponse};
