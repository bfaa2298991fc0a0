//! What is seen from outside: metrics, the access log, other logs, and the two layers that measure.

pub mod metrics;
pub mod outcome;

pub use metrics::Metrics;
pub use outcome::Outcome;
