//! The names of the keys in Redis of what is remembered of calls: all of a team's are in its hash
//! slot, beside its ledger.

use crate::call::KeyHash;
use crate::ledger::{self, ReservationId};
use crate::request::RequestId;
use crate::team::TeamId;

fn key(team: &TeamId, what: &str) -> String {
    format!("mg1:{{{team}}}:{what}")
}

/// The keys of what is remembered of one team's calls.
pub(super) struct ReplayKeys {
    /// Sorted set: the bodies that are kept, by their end.
    pub(super) bodies: String,
    /// How many bytes they are together.
    pub(super) bytes: String,
    /// Sorted set: the newest calls of which something is kept, by its end.
    pub(super) kept: String,
    /// Hash: the ledger's open calls, beside others.
    pub(super) open_calls: String,
}

impl ReplayKeys {
    pub(super) fn of(team: &TeamId) -> Self {
        let [bodies, bytes, kept] =
            ["bodies", "bytes", "kept"].map(|what| key(team, &format!("replay:{what}")));
        Self { bodies, bytes, kept, open_calls: ledger::redis::state_key(team) }
    }

    /// Hash: what is known of an idempotency key.
    pub(super) fn key(team: &TeamId, hash: &KeyHash) -> String {
        key(team, &format!("replay:key:{hash}"))
    }

    /// Hash: the outcome of a call, or where it is.
    pub(super) fn call(team: &TeamId, id: ReservationId) -> String {
        key(team, &format!("replay:call:{id}"))
    }

    /// Sorted set: the newest calls that carried a request id and of which something is kept, by
    /// its end. A request id has no character that would need escaping.
    pub(super) fn calls(team: &TeamId, carried: &RequestId) -> String {
        key(team, &format!("replay:calls:{carried}"))
    }
}
