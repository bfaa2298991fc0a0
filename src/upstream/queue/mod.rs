//! The queue for the shared account: a call is sent with a permit, and waits for it in turn with
//! the other teams' calls.
//!
//! Reading order: [`layer`], `attempts` (a call's way to its first byte), [`permit_client`] (a
//! worker's operations on the store), `waiter` (one waiting call) and `permit` (its permit),
//! [`watch`] (shows what is left, once a process). The store has the windows and the queue's order:
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

pub use attempts::Queue;
pub use permit_client::PermitClient;
pub use settings::Settings;

use super::client::Failed;
use super::keys::Key;
use super::{ReservedConnection, Upstream};
use crate::call::PaidCall;
use crate::request::AnswerPermit;

/// A call that may be sent now with this key. Only the queue makes it, from an admitted call; the
/// reservation stays with the queue, which may have to send the call again.
pub struct Permitted {
    call: Arc<PaidCall>,
    answer_permit: Arc<AnswerPermit>,
    upstream: Arc<Upstream>,
    key: Arc<Key>,
    connected: Connected,
}

impl Permitted {
    /// The call, room for its answer, its destination, the key, and the connection.
    #[must_use]
    pub fn into_parts(
        self,
    ) -> (Arc<PaidCall>, Arc<AnswerPermit>, Arc<Upstream>, Arc<Key>, Connected) {
        (self.call, self.answer_permit, self.upstream, self.key, self.connected)
    }
}

/// The result of waiting for a connection.
pub struct Connected {
    /// The connection, or why there is none.
    pub connection: Result<ReservedConnection, Failed>,
    /// How long the call waited for it.
    pub waited: Duration,
}
