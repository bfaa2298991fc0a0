//! Notices: a webhook is told that a budget is nearly used up.
//!
//! Reading order: [`watch`] (where the ledger's word is heard), [`body`] (what is sent), [`sender`] (what waits, is
//! tried again or given up), [`post`] (one request).
//!
//! Nothing here is on the path of a request: what is heard goes into a bounded queue, and what does not fit is counted
//! as dropped. A notice lives in this process only: one that dies takes along what it had not delivered.

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

/// How a webhook is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to: https, or http on this machine.
    pub url: Uri,
    /// The value of the `Authorization` header, if there is one.
    pub authorization: Option<Secret>,
    /// The certificate authorities that are trusted instead of the machine's, PEM.
    pub authorities: Option<Arc<[u8]>>,
    /// How long one try may take, from the connection to the answer.
    pub timeout: Duration,
    /// How long it is left alone after the first try that failed; twice as long after each further one.
    pub first_pause: Duration,
}

impl Settings {
    /// The pause that is meant unless a test is in a hurry.
    pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
}
