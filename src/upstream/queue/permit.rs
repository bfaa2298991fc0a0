//! The permit of a waiting call, and its queue position before that; dropping gives either back.

use std::sync::Arc;

use super::permit_client::PermitClient;
use super::waiter::{PermitRequest, WaitResult};
use crate::permits::{KeyName, PermitId};
use crate::refusal::Refusal;

impl PermitClient {
    /// Waits for a permit; `None` when the account has no limits any more. Dropping the future
    /// gives the position up.
    pub(super) async fn permit(
        self: &Arc<Self>,
        request: PermitRequest,
    ) -> Result<Option<Permit>, Refusal> {
        let id = PermitId::new();
        let position = QueuePosition::new(id, Arc::clone(self));
        match self.wait(id, request).await {
            Ok(WaitResult::Granted { key, left }) => Ok(Some(Permit { position, key, left })),
            Ok(WaitResult::Unlimited) => Ok(None),
            Ok(WaitResult::Refused(refusal)) => Err(refusal),
            // The task ended with the worker.
            Err(_) => Err(Refusal::LedgerUnavailable),
        }
    }
}

/// A queue position, or the permit it has become; given back when dropped, unless the permit was
/// spent.
pub(super) struct QueuePosition {
    id: PermitId,
    client: Arc<PermitClient>,
    is_spent: bool,
}

impl QueuePosition {
    pub(super) const fn new(id: PermitId, client: Arc<PermitClient>) -> Self {
        Self { id, client, is_spent: false }
    }
}

impl Drop for QueuePosition {
    fn drop(&mut self) {
        if !self.is_spent {
            self.client.leave(self.id);
        }
    }
}

/// The right to send one call. Dropped unspent, it is given back.
pub(super) struct Permit {
    pub(super) position: QueuePosition,
    /// The key to send it with.
    pub(super) key: KeyName,
    /// How many more calls fit into the key's tightest window.
    pub(super) left: Option<u64>,
}

impl Permit {
    /// Spends the permit: the call is sent now.
    pub(super) const fn spend(&mut self) {
        self.position.is_spent = true;
    }

    /// Takes the permit back as unspent: not a byte of the call was sent.
    pub(super) const fn take_back(&mut self) {
        self.position.is_spent = false;
    }
}
