//! Entries of the store in memory: claims and outcomes by idempotency key, other outcomes by call.

use std::time::Duration;

use bytes::Bytes;

use crate::call::{Fingerprint, KeyHash};
use crate::idempotency::{Claim, StoredResponse};
use crate::ledger::ReservationId;
use crate::request::RequestId;
use crate::team::TeamId;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum EntryKey {
    Key(TeamId, KeyHash),
    Call(TeamId, ReservationId),
}

pub(super) enum Content {
    /// The call of this claim is being made.
    Running(ReservationId, Fingerprint),
    /// Sent, and its outcome is lost.
    Lost(ReservationId, Fingerprint),
    /// Made.
    Finished(ReservationId, Fingerprint, StoredResponse),
    /// An outcome of a call without a key.
    Outcome(StoredResponse),
    /// Refers to the idempotency key that has the call's outcome, as long as the key is the call's;
    /// with the call's request id.
    At(KeyHash, RequestId),
}

pub(super) struct Entry {
    pub(super) content: Content,
    /// When it expires, and a number that distinguishes entries of the same moment.
    pub(super) until: (Duration, u64),
}

/// Copies the body: as received, it may be a small part of a large buffer.
pub(super) fn own(kept: &StoredResponse) -> StoredResponse {
    StoredResponse { body: kept.body.as_deref().map(Bytes::copy_from_slice), ..kept.clone() }
}

impl Content {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Finished(_, _, kept) | Self::Outcome(kept) => {
                kept.body.as_ref().map_or(0, |body| body.len() as u64)
            }
            Self::Running(..) | Self::Lost(..) | Self::At(..) => 0,
        }
    }

    pub(super) const fn kept_mut(&mut self) -> Option<&mut StoredResponse> {
        match self {
            Self::Finished(_, _, kept) | Self::Outcome(kept) => Some(kept),
            Self::Running(..) | Self::Lost(..) | Self::At(..) => None,
        }
    }

    /// The request id of the entry's call.
    pub(super) const fn carried(&self) -> Option<&RequestId> {
        match self {
            Self::Outcome(kept) => Some(&kept.request_id),
            Self::At(_, carried) => Some(carried),
            Self::Running(..) | Self::Lost(..) | Self::Finished(..) => None,
        }
    }

    /// The call that has claimed the key, and whether it has ended.
    pub(super) const fn claim(&self) -> Option<(ReservationId, bool)> {
        match self {
            Self::Running(id, _) | Self::Lost(id, _) => Some((*id, false)),
            Self::Finished(id, _, _) => Some((*id, true)),
            Self::Outcome(_) | Self::At(..) => None,
        }
    }
}

impl Claim {
    pub(super) fn entry_key(&self) -> EntryKey {
        EntryKey::Key(self.team.clone(), self.key)
    }
}
