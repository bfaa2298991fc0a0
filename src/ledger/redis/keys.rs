//! Names of a team's keys in Redis and of the fields in its state: all in one hash slot, and
//! unambiguous.

use std::fmt::{self, Display, Formatter, from_fn};

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
    prefix: String,
}

impl Keys {
    pub(super) fn of(team: &TeamId) -> Self {
        let prefix = [LAYOUT, ":{", team.as_str(), "}:"].concat();
        let state = [prefix.as_str(), "state"].concat();
        Self { state, prefix }
    }

    /// Sorted set: open reservation → deadline.
    pub(super) fn due(&self) -> String {
        self.key("due")
    }

    /// Sorted set: scope → from when it may be forgotten.
    pub(super) fn ends(&self) -> String {
        self.key("ends")
    }

    /// Lists: a row for each settlement, newest first; one list for paid calls, one for free ones.
    pub(super) fn rows(&self) -> [String; 2] {
        [self.key("rows"), self.key("rows:free")]
    }

    fn key(&self, what: &str) -> String {
        [self.prefix.as_str(), what].concat()
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

/// Displays parts of a name without formatting them, which would take several times as long in
/// every call.
fn parts<const N: usize>(f: &mut Formatter<'_>, parts: [&str; N]) -> fmt::Result {
    parts.iter().try_for_each(|part| f.write_str(part))
}

/// Fields of a team's state.
pub(super) mod field {
    use std::fmt::{Display, from_fn};

    use super::{ReservationId, ScopeName, TopUpId, parts};

    /// The revision: `epoch number name`.
    pub(in super::super) const REVISION: &str = "r";
    /// Record of the team as a whole.
    pub(in super::super) const TEAM: &str = "m";

    /// A scope. Its name is last, so that different names make different fields.
    pub(in super::super) fn scope(name: &ScopeName) -> impl Display {
        from_fn(|f| parts(f, ["s:", &name.level, ":", &name.whose]))
    }

    /// An open reservation: its phase, then the rest of the record.
    pub(in super::super) fn call(id: ReservationId) -> impl Display {
        from_fn(move |f| parts(f, ["c:", id.encode(&mut [0; ReservationId::LENGTH])]))
    }

    /// Number of a day's cells of usage.
    pub(in super::super) fn day(day: &str) -> impl Display {
        from_fn(move |f| parts(f, ["d:", day]))
    }

    /// A restored call that had ended.
    pub(in super::super) fn restored(id: ReservationId) -> impl Display {
        from_fn(move |f| write!(f, "e:{id}"))
    }

    /// A top-up.
    pub(in super::super) fn top_up(id: &TopUpId) -> impl Display {
        from_fn(move |f| write!(f, "t:{id}"))
    }
}

/// Name of what may be forgotten: its field, and its member in the sorted set of ends.
pub(super) fn past_name(past: &Past) -> impl Display {
    from_fn(move |f| match past {
        Past::Scope(name) => field::scope(name).fmt(f),
        Past::Restored(id) => field::restored(*id).fmt(f),
        Past::Day(day) => field::day(day).fmt(f),
    })
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

/// Name of a cell in a day's usage: no model contains a line feed.
pub(super) fn cell(name: &CellName) -> impl Display {
    from_fn(move |f| parts(f, [&name.model, "\n", &name.user]))
}

/// Model and user of a cell.
pub(super) fn cell_of(name: &str) -> Option<(&str, &str)> {
    name.split_once('\n')
}
