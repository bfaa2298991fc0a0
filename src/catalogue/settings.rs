//! How the public catalogue is served.

use std::time::Duration;

/// The catalogue, as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether it is served without a credential (`catalogue.public`).
    pub public: bool,
    /// How long an answer is served from memory before the upstream is asked again (`catalogue.fresh_for`).
    pub fresh_for: Duration,
    /// The largest answer that is kept, in bytes (`catalogue.bytes_max`).
    pub bytes_max: u64,
}
