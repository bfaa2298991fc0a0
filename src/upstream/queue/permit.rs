//! The permit that a waiting call gets, and its place until then: dropped, both are given back.

use std::sync::Arc;

use super::permit_client::PermitClient;
use super::waiter::{Heard, Wanted};
use crate::permits::{KeyName, PermitId};
use crate::refusal::Refusal;

impl PermitClient {
    /// Waits for a permit; `None` when the account has no limits any more. Dropped meanwhile, the place is given up.
    pub(super) async fn permit(self: &Arc<Self>, wanted: Wanted) -> Result<Option<Permit>, Refusal> {
        let id = PermitId::new();
        let held = Held::new(id, Arc::clone(self));
        match self.wait(id, wanted).await {
            Ok(Heard::Granted { key, left }) => Ok(Some(Permit { held, key, left })),
            Ok(Heard::Free) => Ok(None),
            Ok(Heard::Refused(refusal)) => Err(refusal),
            // The rounds were cut off with the worker.
            Err(_) => Err(Refusal::LedgerUnavailable),
        }
    }
}

/// A place in the line, or the permit it has become; given back when dropped, unless it was spent.
pub(super) struct Held {
    id: PermitId,
    desk: Arc<PermitClient>,
    is_spent: bool,
}

impl Held {
    pub(super) const fn new(id: PermitId, desk: Arc<PermitClient>) -> Self {
        Self { id, desk, is_spent: false }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_spent {
            self.desk.leave(self.id);
        }
    }
}

/// The right to send one call now. Dropped unspent, it is given back.
pub(super) struct Permit {
    pub(super) held: Held,
    /// With this key.
    pub(super) key: KeyName,
    /// How many more calls have room in the key's tightest window.
    pub(super) left: Option<u64>,
}

impl Permit {
    /// The call is sent now: it stays taken.
    pub(super) const fn spend(&mut self) {
        self.held.is_spent = true;
    }

    /// Not a byte of the call went out after all.
    pub(super) const fn take_back(&mut self) {
        self.held.is_spent = false;
    }
}
