//! Webhook: posts a notice when a budget is nearly used up.
//!
//! Reading order: [`watch`] (takes notices from the ledger), [`body`] (what is sent), [`sender`]
//! (queue and retries), [`post`] (one request).
//!
//! Nothing here is on the path of a request. Notices go into a bounded queue; one that finds no
//! room is counted as dropped. The queue is in memory, so a process that dies loses its undelivered
//! notices.

pub mod body;
pub mod observe;
pub mod post;
pub mod sender;
pub mod watch;

use std::sync::Arc;
use std::time::Duration;

use http::Uri;

pub use body::Notice;
pub use observe::{Delivery, Observer};
pub use sender::Sender;
pub use watch::Watch;

use crate::secret::Secret;

/// Settings of the webhook.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address: https, or http on this machine.
    pub url: Uri,
    /// The value of the `Authorization` header.
    pub authorization: Option<Secret>,
    /// Certificate authorities to trust instead of the machine's, PEM.
    pub authorities: Option<Arc<[u8]>>,
    /// Timeout of one attempt, from connecting to the answer.
    pub timeout: Duration,
    /// Pause after the first failed attempt; it doubles with each further one.
    pub first_pause: Duration,
}

impl Settings {
    /// The default, which tests shorten.
    pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
}
