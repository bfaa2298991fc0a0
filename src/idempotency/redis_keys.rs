//! Names of the Redis keys for claims and stored responses: a team's are in its hash slot, beside
//! its ledger.

use crate::call::KeyHash;
use crate::ledger::{self, ReservationId};
use crate::request::RequestId;
use crate::team::TeamId;

fn key(team: &TeamId, what: &str) -> String {
    format!("mg1:{{{team}}}:{what}")
}

/// Keys shared by all calls of one team.
pub(super) struct ReplayKeys {
    /// Sorted set: stored bodies, by when they expire.
    pub(super) bodies: String,
    /// Total size of the stored bodies, in bytes.
    pub(super) bytes: String,
    /// Sorted set: the newest calls with a stored outcome, by when it expires.
    pub(super) kept: String,
    /// Hash: the ledger's state of the team, which has its open calls.
    pub(super) open_calls: String,
}

impl ReplayKeys {
    pub(super) fn of(team: &TeamId) -> Self {
        let [bodies, bytes, kept] =
            ["bodies", "bytes", "kept"].map(|what| key(team, &format!("replay:{what}")));
        Self { bodies, bytes, kept, open_calls: ledger::redis::state_key(team) }
    }

    /// Hash: the claim or the outcome of an idempotency key.
    pub(super) fn key(team: &TeamId, hash: &KeyHash) -> String {
        key(team, &format!("replay:key:{hash}"))
    }

    /// Hash: the outcome of a call, or the idempotency key that has it.
    pub(super) fn call(team: &TeamId, id: ReservationId) -> String {
        key(team, &format!("replay:call:{id}"))
    }

    /// Sorted set: the newest calls with this request id and a stored outcome, by when it expires.
    /// A request id has no character that would need escaping.
    pub(super) fn calls(team: &TeamId, carried: &RequestId) -> String {
        key(team, &format!("replay:calls:{carried}"))
    }
}
