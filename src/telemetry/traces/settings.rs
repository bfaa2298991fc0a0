//! Settings of traces.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Uri};

use crate::secret::Secret;
use crate::team::Share;

/// Settings of traces (`telemetry.otlp`). Read once, at start.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where traces are posted, `/v1/traces` included.
    pub url: Uri,
    /// Headers of each post, such as `authorization`.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Certificate authorities to trust instead of the machine's, PEM.
    pub authorities: Option<Arc<[u8]>>,
    /// Share of the traces begun here that are recorded.
    pub sample_share: Share,
    /// Timeout of one post.
    pub timeout: Duration,
    /// How long spans are gathered before they are sent together.
    pub gather: Duration,
    /// Pause after the first failed post; it doubles with each further one.
    pub first_pause: Duration,
    /// How long the process waits for the collector when it ends.
    pub finish: Duration,
}

impl Settings {
    /// The default, which tests shorten.
    pub const GATHER: Duration = Duration::from_millis(500);
    /// The default, which tests shorten.
    pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
    /// The default, which tests shorten.
    pub const FINISH: Duration = Duration::from_secs(3);
}
