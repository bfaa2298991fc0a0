//! What the script answers, as the ledger reads it.

use std::collections::HashMap;

use redis::{FromRedisValue, Value};
use serde::de::DeserializeOwned;

use super::encode::days_of;
use super::keys::{past_of, scope_of};
use super::{text, upgrade_text};
use crate::ledger::keeper::{Due, Found, Marked, Reply, Step, Verdict, Wanted};
use crate::ledger::machine::ScopeRecord;
use crate::ledger::{Outage, ReservationId, Sums};

/// What is there is none of ours.
pub(super) fn unreadable(what: &str) -> Outage {
    Outage::Refused(format!("{what} that cannot be read"))
}

/// Reads the answer to a step.
pub(super) fn reply(step: &Step, value: Value) -> Result<Reply, Outage> {
    let Value::Array(items) = value else { return Err(unreadable("an answer")) };
    let Ok([verdict, seconds, micros, revision, marks, marked, answers]) = <[Value; 7]>::try_from(items) else {
        return Err(unreadable("an answer"));
    };
    let verdict = match one::<u8>(verdict, "a verdict")? {
        0 => Verdict::Told,
        1 => Verdict::Done,
        2 => Verdict::OtherTime,
        3 => Verdict::OthersTurn,
        _ => return Err(unreadable("a verdict")),
    };
    let revision: String = one(revision, "a revision")?;
    let found = match verdict {
        Verdict::Told => Some(found(&step.wanted, &revision, answers)?),
        Verdict::Done | Verdict::OtherTime | Verdict::OthersTurn => None,
    };
    Ok(Reply {
        verdict,
        at: one::<i64>(seconds, "a time")? * 1_000_000 + one::<i64>(micros, "a time")?,
        marks: one(marks, "a number")?,
        marked: one::<Vec<u64>>(marked, "marks")?.into_iter().map(mark).collect(),
        void: None,
        found,
    })
}

const fn mark(number: u64) -> Marked {
    match number {
        0 => Marked::Gone,
        1 => Marked::Done,
        _ => Marked::Changed,
    }
}

fn one<T: FromRedisValue>(value: Value, what: &str) -> Result<T, Outage> {
    redis::from_redis_value(value).map_err(|_| unreadable(what))
}

/// Reads a record as it is kept; of what is not there, nothing.
fn record<T: DeserializeOwned>(value: Option<Vec<u8>>, what: &str) -> Result<Option<T>, Outage> {
    value.map(|bytes| text::from_json(&bytes, what)).transpose()
}

/// Reads out of a team's own scope how many calls are open.
pub(super) fn open(scope: Value) -> Result<u64, Outage> {
    let scope: Option<ScopeRecord> = record(one(scope, "a scope")?, "a scope")?;
    Ok(scope.unwrap_or_default().open())
}

fn found(wanted: &Wanted, revision: &str, answers: Value) -> Result<Found, Outage> {
    let Value::Array(answers) = answers else { return Err(unreadable("an answer")) };
    let mut answers = answers.into_iter();
    let mut next = || answers.next().ok_or_else(|| unreadable("an answer"));
    let revision =
        (!revision.is_empty()).then(|| revision.parse().map_err(|_| unreadable("a revision"))).transpose()?;
    let mut found = Found { revision, ..Found::default() };
    let mut state = one::<Vec<Option<Vec<u8>>>>(next()?, "a team's state")?.into_iter();
    let mut field = || state.next().flatten();
    found.team = record(field(), "a team's record")?.unwrap_or_default();
    for name in &wanted.scopes {
        found.scopes.push((name.clone(), record(field(), "a scope")?.unwrap_or_default()));
    }
    for id in &wanted.calls {
        let (call, phase) = (field(), field());
        let call = call.zip(phase).map(|(call, phase)| text::read_call(&call, &phase)).transpose()?;
        found.calls.push((*id, call));
    }
    for day in &wanted.days {
        found.days.push((day.clone(), record(field(), "a number")?.unwrap_or_default()));
    }
    for id in &wanted.top_ups {
        found.top_ups.push((id.clone(), record(field(), "a top-up")?));
    }
    for id in &wanted.restored {
        found.restored.push((*id, field().is_some()));
    }
    let mut names = wanted.cells.iter();
    for _ in days_of(wanted) {
        for cell in one::<Vec<Option<String>>>(next()?, "usage")? {
            let name = names.next().ok_or_else(|| unreadable("usage"))?;
            found.cells.push((name.clone(), cell.as_deref().map(sums).transpose()?));
        }
    }
    if wanted.due {
        let is_lost = next()? == Value::Nil;
        found.due = Some(Due { overdue: due(next()?)?, next: due(next()?)?.first().map(|(_, at)| *at), is_lost });
    }
    if wanted.past {
        found.ends_are_lost = next()? == Value::Nil;
        let names: Vec<String> = one(next()?, "scopes")?;
        found.past = Some(names.iter().filter_map(|name| past_of(name)).collect());
    }
    if wanted.oldest {
        found.oldest = Some([settled(next()?)?, settled(next()?)?]);
    }
    if wanted.all {
        all(next()?, &mut found)?;
    }
    Ok(found)
}

/// Reads every scope and every open call out of a team's state.
fn all(state: Value, found: &mut Found) -> Result<(), Outage> {
    let fields: HashMap<String, Vec<u8>> = one(state, "a team's state")?;
    for (name, text) in &fields {
        if let Some(scope) = scope_of(name) {
            found.scopes.push((scope, text::from_json(text, "a scope")?));
        } else if let Some(id) = name.strip_prefix("c:")
            && let Some(phase) = fields.get(&format!("p:{id}"))
        {
            let id = id.parse().map_err(|_| unreadable("an id"))?;
            found.calls.push((id, Some(text::read_call(text, phase)?)));
        }
    }
    Ok(())
}

/// Reads what a cell of usage holds.
pub(super) fn sums(text: &str) -> Result<Sums, Outage> {
    let numbers: Vec<u64> =
        text.split(' ').map(str::parse).collect::<Result<_, _>>().map_err(|_| unreadable("usage"))?;
    Ok(Sums::from_numbers(numbers.try_into().map_err(|_| unreadable("usage"))?))
}

fn due(value: Value) -> Result<Vec<(ReservationId, i64)>, Outage> {
    let items: Vec<String> = one(value, "deadlines")?;
    let pairs = items.chunks_exact(2).map(|pair| match pair {
        [id, at] => Some((id.parse().ok()?, at.parse().ok()?)),
        _ => None,
    });
    pairs.collect::<Option<_>>().ok_or_else(|| unreadable("a deadline"))
}

/// When rows were settled, the oldest first.
fn settled(value: Value) -> Result<Vec<i64>, Outage> {
    let rows: Vec<String> = one(value, "rows")?;
    let at = rows.iter().rev().map(|row| row.split(' ').nth(1)?.parse().ok().or_else(|| upgrade_text::settled_at(row)));
    at.collect::<Option<_>>().ok_or_else(|| unreadable("a row"))
}
