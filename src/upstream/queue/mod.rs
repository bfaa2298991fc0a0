//! The queue before the shared account: a call goes out with a permit, and waits for it in turn with the other teams'
//! calls.
//!
//! Reading order: [`layer`], `attempts` (a call's way through it, to its first byte), [`permit_client`] (what a
//! worker's calls say to the store, and hear from it), `waiter` (one call that waits) and `permit` (what it gets),
//! [`watch`] (what is left, shown once a process). The windows, the line and its order are the store's:
//! [`crate::permits`].

mod attempts;
pub mod layer;
mod permit;
pub mod permit_client;
pub mod settings;
mod waiter;
pub mod watch;

use std::sync::Arc;
use std::time::Duration;

pub use layer::QueueLayer;
pub use permit_client::PermitClient;
pub use settings::Settings;

use super::client::Failed;
use super::keys::Key;
use super::{Line, Upstream};
use crate::admission::Admitted;

/// A call that may be sent now, with this key: only the queue makes it.
pub struct Permitted {
    admitted: Arc<Admitted<Line>>,
    upstream: Arc<Upstream>,
    key: Arc<Key>,
    connected: Connected,
}

impl Permitted {
    /// The call, where it goes, with whose key, and over what.
    #[must_use]
    pub fn into_parts(self) -> (Arc<Admitted<Line>>, Arc<Upstream>, Arc<Key>, Connected) {
        (self.admitted, self.upstream, self.key, self.connected)
    }
}

/// What became of the search for a connection.
pub struct Connected {
    /// The connection; or why there is none.
    pub line: Result<Line, Failed>,
    /// How long the call waited for it.
    pub took: Duration,
}
