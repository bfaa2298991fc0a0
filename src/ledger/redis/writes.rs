//! Commands that write a step's changes.

use std::collections::BTreeSet;
use std::iter;

use super::keys::{Keys, cell, field, member, past_name};
use super::message::{Begins, List};
use super::record_text;
use crate::ledger::keeper::{Changes, Expected, FOR_EVER, Past, Step, TeamRecord};
use crate::ledger::machine::{ReservationRecord, Revision, ScopeName, ScopeRecord, TopUpRecord};
use crate::ledger::{ReservationId, Retention, Row, TopUpId};

/// How long a restored call that had ended is remembered, in microseconds.
const RESTORED_FOR: i64 = 86_400_000_000;

/// No open call, and never due. Redis keeps a small sorted set as one list and searches it from end
/// to end, unless a member is as long as this: then calls are found at once.
pub(super) const SKIP_LIST: &str =
    "no call: a member of more than 64 bytes makes the server keep a skip list";

/// No scope, and never to be forgotten.
pub(super) const NOTHING: &str = "-";

/// The first command is allowed even when memory is full, and then lets the others pass. So a call
/// can be settled even then, which frees about as much as it takes.
///
/// Records that decide are written last. A key of another type ends the script at its command; only
/// writes that will be repeated unchanged come before, and no rows have been added.
pub(super) fn write(list: &mut List<'_>, step: &Step, keys: &Keys, retention: &Retention) {
    let changes = &step.changes;
    list.each(Begins::DropDue, changes.ended.iter(), |command, id| command.written(member(*id)));
    if matches!(step.expected, Expected::Nothing(_))
        || changes.team.as_ref().is_some_and(TeamRecord::is_closed)
    {
        list.arguments(&["ZADD", &keys.due, &FOR_EVER.to_string(), SKIP_LIST]);
        // A key must exist before its expiry can be set.
        list.arguments(&["ZADD", &keys.ends, &FOR_EVER.to_string(), NOTHING]);
    }
    list.each(Begins::AddDue, changes.opened.keys(), |command, id| {
        command.number(step.deadline);
        command.written(member(*id));
    });
    ends(list, step, keys, retention);
    usage(list, changes, keys, retention);
    rows(list, step, keys, retention);
    forgotten(list, changes);
    list.each(Begins::SetState, changed_fields(step), |command, kept| kept.write(command));
    if let (Some(team), true) = (&changes.team, changes.lives_on) {
        for key in [&keys.state, &keys.due, &keys.ends] {
            if team.until < FOR_EVER {
                list.arguments(&["PEXPIRE", key, &((team.until - step.from) / 1000).to_string()]);
            } else {
                list.arguments(&["PERSIST", key]);
            }
        }
    }
}

fn usage(list: &mut List<'_>, changes: &Changes, keys: &Keys, retention: &Retention) {
    for day in changes.cells.keys().map(|name| &name.day).collect::<BTreeSet<_>>() {
        let key = keys.usage(day);
        list.command(Begins::With(&["HSET", &key]), |command| {
            for (name, sums) in changes.cells.iter().filter(|(name, _)| name.day == *day) {
                command.written(cell(name));
                command.written(|bytes| record_text::sums(bytes, *sums));
            }
        });
        if changes.days.contains_key(day) {
            list.arguments(&["PEXPIRE", &key, &retention.usage.as_millis().to_string()]);
        }
    }
}

/// Removes scopes, calls that have ended, and other expired records.
fn forgotten(list: &mut List<'_>, changes: &Changes) {
    let scopes = changes
        .scopes
        .iter()
        .filter(|(_, record)| record.is_none())
        .map(|(name, _)| Gone::Scope(name));
    let calls = changes.ended.iter().map(|id| Gone::Call(*id));
    let past = changes.forgotten.iter().map(Gone::Past);
    list.each(Begins::DropState, calls.chain(scopes).chain(past), |command, gone| match gone {
        Gone::Call(id) => command.written(field::call(id)),
        Gone::Scope(name) => command.written(field::scope(name)),
        Gone::Past(past) => command.written(past_name(past)),
    });
}

/// Fields to remove from a team's state.
enum Gone<'a> {
    Call(ReservationId),
    Scope(&'a ScopeName),
    Past(&'a Past),
}

/// Writes from when records may be forgotten.
fn ends(list: &mut List<'_>, step: &Step, keys: &Keys, retention: &Retention) {
    let changes = &step.changes;
    let is_nothing = changes.ends.is_empty() && changes.forgotten.is_empty();
    if is_nothing && changes.restored.is_empty() && changes.days.is_empty() {
        return;
    }
    let key = keys.ends.as_str();
    let never = changes
        .ends
        .iter()
        .filter(|(_, end)| end.is_none())
        .map(|(name, _)| Past::Scope(name.clone()));
    let gone = never.chain(changes.forgotten.iter().cloned());
    list.each(Begins::With(&["ZREM", key]), gone, |command, past| {
        command.written(past_name(&past))
    });
    let later = |micros: i64| step.from.saturating_add(micros);
    let scopes =
        changes.ends.iter().filter_map(|(name, end)| Some(((*end)?, Past::Scope(name.clone()))));
    let restored = changes.restored.iter().map(|id| (later(RESTORED_FOR), Past::Restored(*id)));
    // Before the usage itself expires, so that it is never taken for lost.
    let kept = i64::try_from(retention.usage.as_micros()).unwrap_or(FOR_EVER);
    let kept = later(kept - RESTORED_FOR.min(kept / 4)).min(FOR_EVER);
    let days = changes.days.keys().map(|day| (kept, Past::Day(day.clone())));
    list.each(
        Begins::With(&["ZADD", key]),
        scopes.chain(restored).chain(days),
        |command, (end, past)| {
            command.number(end);
            command.written(past_name(&past));
        },
    );
}

fn rows(list: &mut List<'_>, step: &Step, keys: &Keys, retention: &Retention) {
    let changes = &step.changes;
    if changes.rows.is_empty() && changes.trimmed == [0, 0] {
        return;
    }
    let paid = changes.rows.iter().filter(|row| row.charged.micros() > 0).count();
    if paid > 0 && paid < changes.rows.len() {
        // Adds nothing to one list unless the other exists.
        list.arguments(&["LLEN", &keys.rows[1]]);
    }
    for (which, (key, gone)) in keys.rows.iter().zip(changes.trimmed).enumerate() {
        let is_of = |row: &Row| usize::from(row.charged.micros() == 0) == which;
        let new = changes.rows.iter().enumerate().filter(|(_, row)| is_of(row));
        let with = ["LPUSH", key.as_str()];
        let begins = if which == 0 { Begins::PushPaid } else { Begins::With(&with) };
        list.each(begins, new, |command, (place, row)| {
            command.written(|bytes| record_text::row(bytes, step.makes, place, row));
        });
        if changes.rows.iter().any(is_of) && changes.rows_live_on.get(which) == Some(&true) {
            list.arguments(&["PEXPIRE", key, &retention.rows.as_millis().to_string()]);
        }
        if gone > 0 {
            list.arguments(&["LTRIM", key, "0", &format!("-{}", gone + 1)]);
        }
    }
}

/// A field of a team's state.
enum ChangedField<'a> {
    Revision(Revision),
    Team(&'a TeamRecord),
    Scope(&'a ScopeName, &'a ScopeRecord),
    /// A call that must not be open before.
    New(ReservationId, &'a ReservationRecord),
    Call(ReservationId, &'a ReservationRecord),
    Day(&'a str, u64),
    TopUp(&'a TopUpId, &'a TopUpRecord),
    Restored(ReservationId),
}

/// What a step changes in a team's state: the revision and the changed records.
fn changed_fields(step: &Step) -> impl Iterator<Item = ChangedField<'_>> {
    let changes = &step.changes;
    let scopes = changes
        .scopes
        .iter()
        .filter_map(|(name, record)| Some(ChangedField::Scope(name, record.as_ref()?)));
    // The ids are sorted.
    let is_new = |id: &ReservationId| step.unopened.binary_search(id).is_ok();
    let new = changes.opened.iter().filter(move |(id, _)| is_new(id));
    let known = changes.opened.iter().filter(move |(id, _)| !is_new(id));
    iter::once(ChangedField::Revision(step.makes))
        .chain(changes.team.as_ref().map(ChangedField::Team))
        .chain(scopes)
        .chain(new.map(|(id, record)| ChangedField::New(*id, record)))
        .chain(known.map(|(id, record)| ChangedField::Call(*id, record)))
        .chain(changes.days.iter().map(|(day, cells)| ChangedField::Day(day, *cells)))
        .chain(changes.top_ups.iter().map(|(id, record)| ChangedField::TopUp(id, record)))
        .chain(changes.restored.iter().map(|id| ChangedField::Restored(*id)))
}

impl ChangedField<'_> {
    /// Writes the field's name and value.
    fn write(&self, command: &mut List<'_>) {
        match self {
            Self::Revision(revision) => {
                command.argument(field::REVISION);
                command.written(|bytes| record_text::numbers(bytes, revision.to_numbers()));
            }
            Self::Team(team) => {
                command.argument(field::TEAM);
                command.written(|bytes| record_text::team(bytes, team));
            }
            Self::Scope(name, record) => {
                command.written(field::scope(name));
                command.written(|bytes| record.write(bytes));
            }
            Self::New(id, record) => {
                command.note_new();
                ChangedField::Call(*id, record).write(command);
            }
            Self::Call(id, record) => {
                command.written(field::call(*id));
                command.written(|bytes| record_text::call(bytes, record));
            }
            Self::Day(day, cells) => {
                command.written(field::day(day));
                command.number(*cells);
            }
            Self::TopUp(id, record) => {
                command.written(field::top_up(id));
                command.item().json(record);
            }
            Self::Restored(id) => {
                command.written(field::restored(*id));
                command.argument("1");
            }
        }
    }
}
