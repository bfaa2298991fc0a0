//! Names of a team's keys in Redis and of the fields in its state: all in one hash slot, and
//! unambiguous.

use crate::ledger::keeper::{CellName, Past};
use crate::ledger::machine::ScopeName;
use crate::ledger::{ReservationId, TopUpId};
use crate::team::TeamId;

/// Version of the layout. A release with another layout has another version, so that old keys are
/// never misread.
const LAYOUT: &str = "mg2";

/// Set: teams with data in the store, and `*` once it may have new ones. Shared by all teams, so in
/// no team's hash slot.
pub(super) const TEAMS: &str = "mg1:teams";

/// Hash: replication id of a primary → since when it is known, in microseconds; and what an
/// operator accepted under it. In one slot with the teams.
pub(super) const REPLICATION_IDS: &str = "mg1:{mg1:teams}:reigns";

/// Keys of one team. A team's name contains no braces, so all of it is the hash tag.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Hash: the revision and all records that decide: see [`field`].
    pub(super) state: String,
    /// Sorted set: open reservation → deadline.
    pub(super) due: String,
    /// Sorted set: scope → from when it may be forgotten.
    pub(super) ends: String,
    /// Lists: a row for each settlement, newest first; one list for paid calls, one for free ones.
    pub(super) rows: [String; 2],
    prefix: String,
}

impl Keys {
    pub(super) fn of(team: &TeamId) -> Self {
        let prefix = [LAYOUT, ":{", team.as_str(), "}:"].concat();
        let key = |what: &str| [prefix.as_str(), what].concat();
        let rows = [key("rows"), key("rows:free")];
        Self { state: key("state"), due: key("due"), ends: key("ends"), rows, prefix }
    }

    /// Hash: usage of one day, by model and user.
    pub(super) fn usage(&self, day: &str) -> String {
        [self.prefix.as_str(), "usage:", day].concat()
    }

    /// String that expires: a mark that a handle sets before it creates a team that was not found.
    pub(super) fn mark(&self, mark: u64) -> String {
        format!("{}made-by:{mark}", self.prefix)
    }
}

/// A name of these parts.
fn parts<const N: usize>(parts: [&str; N]) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| parts.iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()))
}

/// Fields of a team's state. Each is written to a message without formatting, which would take
/// several times as long in every call.
pub(super) mod field {
    use super::{ReservationId, ScopeName, TopUpId, parts};

    /// The revision: epoch, number, and the last step of each process.
    pub(in super::super) const REVISION: &str = "r";
    /// Record of the team as a whole.
    pub(in super::super) const TEAM: &str = "m";

    /// A scope. Its name is last, so that different names make different fields.
    pub(in super::super) fn scope(name: &ScopeName) -> impl FnOnce(&mut Vec<u8>) {
        parts(["s:", &name.level, ":", &name.whose])
    }

    /// An open reservation: its phase, then the rest of the record.
    pub(in super::super) fn call(id: ReservationId) -> impl FnOnce(&mut Vec<u8>) {
        move |bytes| parts(["c:", id.encode(&mut [0; ReservationId::LENGTH])])(bytes)
    }

    /// Number of a day's cells of usage.
    pub(in super::super) fn day(day: &str) -> impl FnOnce(&mut Vec<u8>) {
        parts(["d:", day])
    }

    /// A restored call that had ended.
    pub(in super::super) fn restored(id: ReservationId) -> impl FnOnce(&mut Vec<u8>) {
        move |bytes| parts(["e:", id.encode(&mut [0; ReservationId::LENGTH])])(bytes)
    }

    /// A top-up.
    pub(in super::super) fn top_up(id: &TopUpId) -> impl FnOnce(&mut Vec<u8>) {
        parts(["t:", id.as_str()])
    }
}

/// Name of what may be forgotten: its field, and its member in the sorted set of ends.
pub(super) fn past_name(past: &Past) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| match past {
        Past::Scope(name) => field::scope(name)(bytes),
        Past::Restored(id) => field::restored(*id)(bytes),
        Past::Day(day) => field::day(day)(bytes),
    }
}

/// What may be forgotten under this name.
pub(super) fn past_of(name: &str) -> Option<Past> {
    if let Some(id) = name.strip_prefix("e:") {
        return Some(Past::Restored(id.parse().ok()?));
    }
    match name.strip_prefix("d:") {
        Some(day) => Some(Past::Day(day.to_owned())),
        None => scope_of(name).map(Past::Scope),
    }
}

/// The scope in the name of a field, or of a member of the ends.
pub(super) fn scope_of(field: &str) -> Option<ScopeName> {
    let (level, whose) = field.strip_prefix("s:")?.split_once(':')?;
    Some(ScopeName { level: level.to_owned().into(), whose: whose.into() })
}

/// Member of the sorted set of deadlines.
pub(super) fn member(id: ReservationId) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| parts([id.encode(&mut [0; ReservationId::LENGTH])])(bytes)
}

/// A name by itself.
pub(super) fn text(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut text = Vec::with_capacity(64);
    write(&mut text);
    text
}

/// Name of a cell in a day's usage: no model contains a line feed.
pub(super) fn cell(name: &CellName) -> impl FnOnce(&mut Vec<u8>) {
    parts([&name.model, "\n", &name.user])
}

/// Model and user of a cell.
pub(super) fn cell_of(name: &str) -> Option<(&str, &str)> {
    name.split_once('\n')
}
