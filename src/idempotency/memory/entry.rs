//! What the store in memory holds, and under what: claims and answers by their keys, outcomes by
//! their calls.

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
    /// It was sent, and nobody can tell what became of it.
    Lost(ReservationId, Fingerprint),
    /// It has been made.
    Finished(ReservationId, Fingerprint, StoredResponse),
    /// An outcome that belongs to no key.
    Outcome(StoredResponse),
    /// The outcome of a call that carried this request id is under this key, as long as that is the
    /// call's.
    At(KeyHash, RequestId),
}

pub(super) struct Entry {
    pub(super) content: Content,
    /// When it is forgotten, and its place among those that are forgotten in the same moment.
    pub(super) until: (Duration, u64),
}

/// The body in memory of its own: what came from the wire may be a small part of a large buffer.
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

    /// The request id that the call of an entry carried.
    pub(super) const fn carried(&self) -> Option<&RequestId> {
        match self {
            Self::Outcome(kept) => Some(&kept.request_id),
            Self::At(_, carried) => Some(carried),
            Self::Running(..) | Self::Lost(..) | Self::Finished(..) => None,
        }
    }

    /// Whose claim it is, and whether it has ended.
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
