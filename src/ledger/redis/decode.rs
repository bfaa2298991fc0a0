//! Decodes the script's answers.

use std::collections::HashMap;

use serde::de::DeserializeOwned;

use super::encode::days_of;
use super::keys::{past_of, scope_of};
use super::{record_text, upgrade_text};
use crate::ledger::keeper::{Due, Found, Marked, Reply, Step, Verdict, Wanted};
use crate::ledger::machine::ScopeRecord;
use crate::ledger::{Outage, ReservationId, Sums};
use crate::store::Value;
use crate::store::answer::{read, unreadable};

/// The replication id of the server that answered, if the step was for another one.
pub(super) fn other_server(value: &Value) -> Option<&str> {
    let Value::BulkString(answer) = value else { return None };
    std::str::from_utf8(answer.strip_prefix(b"4 ")?).ok()
}

/// Decodes the answer to a step.
pub(super) fn reply(step: &Step, value: Value) -> Result<Reply, Outage> {
    let (reply, found) = if let Value::Array(answers) = value {
        let mut answers = answers.into_iter();
        let reply = answers.next().ok_or_else(|| unreadable("an answer"))?;
        (reply, Some(found(step, answers)?))
    } else {
        (value, None)
    };
    let reply: String = read(reply, "an answer")?;
    let mut words = reply.split(' ');
    let mut number =
        || words.next().and_then(|word| word.parse().ok()).ok_or_else(|| unreadable("an answer"));
    let verdict = match (number()?, &found) {
        (0, Some(_)) => Verdict::NotWritten,
        (1, None) => Verdict::Done,
        (2, None) => Verdict::OtherTime,
        (3, None) => Verdict::OthersTurn,
        _ => return Err(unreadable("a verdict")),
    };
    let at = number()? * 1_000_000 + number()?;
    let marks = u64::try_from(number()?).map_err(|_| unreadable("a number"))?;
    let marked = words.next().unwrap_or_default().bytes().map(mark).collect();
    Ok(Reply { verdict, at, marks, marked, void: None, found })
}

const fn mark(digit: u8) -> Marked {
    match digit {
        b'0' => Marked::Gone,
        b'1' => Marked::Done,
        _ => Marked::Changed,
    }
}

/// Decodes a stored record; `None` when it does not exist.
fn record<T: DeserializeOwned>(value: Option<Vec<u8>>, what: &str) -> Result<Option<T>, Outage> {
    value.map(|bytes| record_text::from_json(&bytes, what)).transpose()
}

/// Reads the number of open calls from a team's own scope.
pub(super) fn open(scope: Value) -> Result<u64, Outage> {
    let scope: Option<ScopeRecord> = record(read(scope, "a scope")?, "a scope")?;
    Ok(scope.unwrap_or_default().open())
}

fn found(step: &Step, mut answers: impl Iterator<Item = Value>) -> Result<Found, Outage> {
    let revision: String =
        read(answers.next().ok_or_else(|| unreadable("an answer"))?, "a revision")?;
    let revision = (!revision.is_empty())
        .then(|| revision.parse().map_err(|_| unreadable("a revision")))
        .transpose()?;
    let found = Found { revision, ..Found::default() };
    if step.reads { wanted(&step.wanted, found, answers) } else { Ok(found) }
}

fn wanted(
    wanted: &Wanted,
    mut found: Found,
    mut answers: impl Iterator<Item = Value>,
) -> Result<Found, Outage> {
    let mut next = || answers.next().ok_or_else(|| unreadable("an answer"));
    let mut state = read::<Vec<Option<Vec<u8>>>>(next()?, "a team's state")?.into_iter();
    let mut field = || state.next().flatten();
    found.team = record(field(), "a team's record")?.unwrap_or_default();
    for name in &wanted.scopes {
        found.scopes.push((name.clone(), record(field(), "a scope")?.unwrap_or_default()));
    }
    for id in &wanted.calls {
        found.calls.push((*id, field().map(|call| record_text::read_call(&call)).transpose()?));
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
        for cell in read::<Vec<Option<String>>>(next()?, "usage")? {
            let name = names.next().ok_or_else(|| unreadable("usage"))?;
            found.cells.push((name.clone(), cell.as_deref().map(sums).transpose()?));
        }
    }
    if wanted.due {
        let is_lost = next()? == Value::Nil;
        found.due = Some(Due {
            overdue: due(next()?)?,
            next: due(next()?)?.first().map(|(_, at)| *at),
            is_lost,
        });
    }
    if wanted.past {
        found.ends_are_lost = next()? == Value::Nil;
        let names: Vec<String> = read(next()?, "scopes")?;
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

/// Decodes all scopes and open calls of a team's state.
fn all(state: Value, found: &mut Found) -> Result<(), Outage> {
    let fields: HashMap<String, Vec<u8>> = read(state, "a team's state")?;
    for (name, text) in &fields {
        if let Some(scope) = scope_of(name) {
            found.scopes.push((scope, record_text::from_json(text, "a scope")?));
        } else if let Some(id) = name.strip_prefix("c:") {
            let id = id.parse().map_err(|_| unreadable("an id"))?;
            found.calls.push((id, Some(record_text::read_call(text)?)));
        }
    }
    Ok(())
}

/// Decodes a cell of usage.
pub(super) fn sums(text: &str) -> Result<Sums, Outage> {
    let numbers: Vec<u64> = text
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| unreadable("usage"))?;
    Ok(Sums::from_numbers(numbers.try_into().map_err(|_| unreadable("usage"))?))
}

fn due(value: Value) -> Result<Vec<(ReservationId, i64)>, Outage> {
    let items: Vec<String> = read(value, "deadlines")?;
    let pairs = items.chunks_exact(2).map(|pair| match pair {
        [id, at] => Some((id.parse().ok()?, at.parse().ok()?)),
        _ => None,
    });
    pairs.collect::<Option<_>>().ok_or_else(|| unreadable("a deadline"))
}

/// Times at which rows were settled, oldest first.
fn settled(value: Value) -> Result<Vec<i64>, Outage> {
    let rows: Vec<String> = read(value, "rows")?;
    let at = rows
        .iter()
        .rev()
        .map(|row| row.split(' ').nth(1)?.parse().ok().or_else(|| upgrade_text::settled_at(row)));
    at.collect::<Option<_>>().ok_or_else(|| unreadable("a row"))
}
