//! The names of a team's keys in Redis, and of the fields in its state: all in one hash slot, and never the same for
//! two things.

use std::fmt::{self, Display, Formatter, from_fn};

use crate::ledger::keeper::{CellName, Past};
use crate::ledger::machine::ScopeName;
use crate::ledger::{ReservationId, TopUpId};
use crate::team::TeamId;

/// The layout's version: a release that keeps things differently takes another, and old keys are never misread.
const LAYOUT: &str = "mg2";

/// Set: the teams of which the store has something, and `*` once it may have new ones. Of all teams, so it is in
/// nobody's hash slot.
pub(super) const TEAMS: &str = "mg1:teams";

/// Hash: a primary's reign → since when it is known, in microseconds; and what an operator accepted in it. In one slot
/// with the teams.
pub(super) const REIGNS: &str = "mg1:{mg1:teams}:reigns";

/// The keys of one team. A team's name has no braces, so it is the whole hash tag.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Hash: all that judges, and how far it has come: see [`field`].
    pub(super) state: String,
    /// Sorted set: open reservation → deadline.
    pub(super) due: String,
    /// Sorted set: scope → from when on it may be forgotten.
    pub(super) ends: String,
    /// Lists: a row for each settlement, newest first: of those that cost something, and of those that did not.
    pub(super) rows: [String; 2],
    prefix: String,
}

impl Keys {
    pub(super) fn of(team: &TeamId) -> Self {
        let prefix = [LAYOUT, ":{", team.as_str(), "}:"].concat();
        let key = |what: &str| [prefix.as_str(), what].concat();
        let (state, due, ends, rows) = (key("state"), key("due"), key("ends"), [key("rows"), key("rows:free")]);
        Self { state, due, ends, rows, prefix }
    }

    /// Hash: what one day's calls came to, by model and user.
    pub(super) fn usage(&self, day: &str) -> String {
        [self.prefix.as_str(), "usage:", day].concat()
    }

    /// String, for a while: a mark that a handle leaves before it makes the team, where nothing of it is there.
    pub(super) fn mark(&self, mark: u64) -> String {
        format!("{}made-by:{mark}", self.prefix)
    }
}

/// Shows parts of a name one after another: every call writes some, and formatting them takes several times as long.
fn parts<const N: usize>(f: &mut Formatter<'_>, parts: [&str; N]) -> fmt::Result {
    parts.iter().try_for_each(|part| f.write_str(part))
}

/// The fields of a team's state.
pub(super) mod field {
    use std::fmt::{Display, from_fn};

    use super::{ReservationId, ScopeName, TopUpId, parts};

    /// The revision: `epoch number name`.
    pub(in super::super) const REVISION: &str = "r";
    /// What is known of the team as a whole.
    pub(in super::super) const TEAM: &str = "m";

    /// A scope. Its name ends the field, so that unlike names stay unlike.
    pub(in super::super) fn scope(name: &ScopeName) -> impl Display {
        from_fn(|f| parts(f, ["s:", &name.level, ":", &name.whose]))
    }

    /// An open reservation: how far its call has come, then the rest of the record.
    pub(in super::super) fn call(id: ReservationId) -> impl Display {
        from_fn(move |f| parts(f, ["c:", id.encode(&mut [0; ReservationId::LENGTH])]))
    }

    /// How many cells of usage a day has.
    pub(in super::super) fn day(day: &str) -> impl Display {
        from_fn(move |f| parts(f, ["d:", day]))
    }

    /// A call that had ended and was restored.
    pub(in super::super) fn restored(id: ReservationId) -> impl Display {
        from_fn(move |f| write!(f, "e:{id}"))
    }

    /// A top-up.
    pub(in super::super) fn top_up(id: &TopUpId) -> impl Display {
        from_fn(move |f| write!(f, "t:{id}"))
    }
}

/// The name of what may be forgotten: its field, and its member among the ends.
pub(super) fn past_name(past: &Past) -> impl Display {
    from_fn(move |f| match past {
        Past::Scope(name) => field::scope(name).fmt(f),
        Past::Restored(id) => field::restored(*id).fmt(f),
        Past::Day(day) => field::day(day).fmt(f),
    })
}

/// What may be forgotten of this name.
pub(super) fn past_of(name: &str) -> Option<Past> {
    if let Some(id) = name.strip_prefix("e:") {
        return Some(Past::Restored(id.parse().ok()?));
    }
    match name.strip_prefix("d:") {
        Some(day) => Some(Past::Day(day.to_owned())),
        None => scope_of(name).map(Past::Scope),
    }
}

/// The scope of a field's name, or of a member's among the ends.
pub(super) fn scope_of(field: &str) -> Option<ScopeName> {
    let (level, whose) = field.strip_prefix("s:")?.split_once(':')?;
    Some(ScopeName { level: level.to_owned().into(), whose: whose.into() })
}

/// A cell's name in a day's usage: no model has a line feed.
pub(super) fn cell(name: &CellName) -> impl Display {
    from_fn(move |f| parts(f, [&name.model, "\n", &name.user]))
}

/// The model and the user of a cell.
pub(super) fn cell_of(name: &str) -> Option<(&str, &str)> {
    name.split_once('\n')
}
