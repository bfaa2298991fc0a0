//! The queue before the shared account: a call goes out with a permit, and waits for it in turn with the other teams' calls.
//!
//! Reading order: [`layer`] (the layer, and a call's way through it), [`desk`] (what a worker's calls say to the store, and
//! hear from it), [`waiter`] (one call that waits), [`watch`] (what is left, shown once a process). The windows, the line and
//! its order are the store's: [`crate::ledger::permits`].

pub mod desk;
pub mod layer;
mod waiter;
pub mod watch;

use std::sync::Arc;
use std::time::Duration;

pub use desk::Desk;
pub use layer::{Forwarded, QueueLayer};

use super::Upstream;
use super::keys::Key;
use crate::admission::Admitted;

/// How long calls wait, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long one call waits at most, all its waits together.
    pub max_wait: Duration,
    /// The most calls that wait, of all teams, on all replicas.
    pub length_max: u64,
    /// The most calls of one team that wait, on all replicas.
    pub team_length_max: u64,
}

/// A call that may be sent now, with this key: only the queue makes it.
pub struct Permitted {
    admitted: Arc<Admitted>,
    upstream: Arc<Upstream>,
    key: Arc<Key>,
}

impl Permitted {
    /// The call.
    #[must_use]
    pub fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// Where it goes.
    #[must_use]
    pub const fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// With whose key.
    #[must_use]
    pub const fn key(&self) -> &Arc<Key> {
        &self.key
    }
}
