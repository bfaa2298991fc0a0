//! The names of keys in Redis beside those of the ledger itself: what is a team's is in the team's hash slot, and no two things
//! have the same name.

use crate::call::KeyHash;
use crate::ledger::ReservationId;
use crate::request::RequestId;
use crate::team::TeamId;

/// The layout's version: a release that stores things differently takes another, and old keys are never misread.
const LAYOUT: &str = "mg1";

/// Set: the teams of which the store has something, and `*` once it may have new ones. Of all teams, so it is in nobody's
/// hash slot.
pub(super) const TEAMS: &str = "mg1:teams";

/// Hash: a primary's reign → since when it is known, in microseconds; and what an operator accepted in it. In one slot with
/// the teams.
pub(super) const REIGNS: &str = "mg1:{mg1:teams}:reigns";

fn key(team: &TeamId, what: &str) -> String {
    format!("{LAYOUT}:{{{team}}}:{what}")
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
        let [bodies, bytes, kept] = ["bodies", "bytes", "kept"].map(|what| key(team, &format!("replay:{what}")));
        Self { bodies, bytes, kept, open_calls: super::kept::state_key(team) }
    }

    /// Hash: what is known of an idempotency key.
    pub(super) fn key(team: &TeamId, hash: &KeyHash) -> String {
        key(team, &format!("replay:key:{hash}"))
    }

    /// Hash: the outcome of a call, or where it is.
    pub(super) fn call(team: &TeamId, id: ReservationId) -> String {
        key(team, &format!("replay:call:{id}"))
    }

    /// Sorted set: the newest calls that carried a request id and of which something is kept, by its end. A request id has
    /// no character that would need escaping.
    pub(super) fn calls(team: &TeamId, carried: &RequestId) -> String {
        key(team, &format!("replay:calls:{carried}"))
    }
}

/// The keys of the shared account's windows and of the line before them. No team's name has the `!`.
pub(super) struct PermitKeys {
    /// Hash: the windows.
    pub(super) windows: String,
    /// Sorted set: the line, by virtual finish.
    pub(super) line: String,
    /// Hash: what is known of a place, or of the permit it became.
    pub(super) places: String,
    /// Sorted set: both, by deadline.
    pub(super) deadlines: String,
    /// Hash: the teams in the line.
    pub(super) teams: String,
}

impl PermitKeys {
    pub(super) fn new() -> Self {
        let key = |what: &str| format!("{LAYOUT}:{{!shared}}:{what}");
        Self {
            windows: key("windows"),
            line: key("line"),
            places: key("places"),
            deadlines: key("deadlines"),
            teams: key("teams"),
        }
    }
}

/// The keys of the register, in one slot: a team's name cannot begin as its hash tag does.
pub(super) struct RegisterKeys;

impl RegisterKeys {
    /// Hash: name → entry.
    pub(super) const ENTRIES: &'static str = "mg1:{:register}:entries";
    /// String: which state of the entries it is.
    pub(super) const VERSION: &'static str = "mg1:{:register}:version";
    /// Hash: id of a gateway key → when it was used last, in seconds since 1970.
    pub(super) const USED: &'static str = "mg1:{:register}:used";
}
