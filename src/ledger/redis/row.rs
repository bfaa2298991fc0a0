//! Reads rows from the team's list.

use jiff::Timestamp;
use redis::{FromRedisValue, Value};
use serde::Deserialize;

use crate::credits::Credits;
use crate::ledger::{Asked, Came, Outage, Outcome, Row};

/// Reads what `LRANGE` answers. Money is never passed over: a row that cannot be read is an error.
pub(super) fn read(entries: &Value) -> Result<Vec<Row>, Outage> {
    let entries: Vec<String> = Vec::from_redis_value_ref(entries).map_err(|_| unreadable("entries"))?;
    entries.iter().map(|entry| read_entry(entry)).collect()
}

/// Reads what `LLEN` answers.
pub(super) fn read_total(total: &Value) -> Result<u64, Outage> {
    u64::from_redis_value_ref(total).map_err(|_| unreadable("number"))
}

/// What the script wrote: id, outcome, charged, when settled; then the reservation's record, which is phase, when admitted,
/// day, price, model, user, scopes, what was asked; then what came, unless a sweep ended it.
fn read_entry(entry: &str) -> Result<Row, Outage> {
    let asked_at = entry.find('{').ok_or_else(|| unreadable("call"))?;
    let (head, asked) = entry.split_at(asked_at);
    let mut head = head.split(' ');
    let mut next = |name| head.next().ok_or_else(|| unreadable(name));
    let (id, outcome_name, charged, settled_at) =
        (next("id")?, next("outcome")?, next("charged")?, next("settled_at")?);
    let (_phase, admitted_at, day, price) = (next("phase")?, next("admitted_at")?, next("day")?, next("price")?);
    let mut texts = serde_json::Deserializer::from_str(asked);
    let asked = Asked::deserialize(&mut texts).map_err(|_| unreadable("call"))?;
    let came = if texts.end().is_ok() {
        Came::default()
    } else {
        Came::deserialize(&mut texts).map_err(|_| unreadable("came"))?
    };
    Ok(Row {
        id: id.parse().map_err(|_| unreadable("id"))?,
        outcome: outcome(outcome_name)?,
        reserved: credits(price)?,
        charged: credits(charged)?,
        day: day.to_owned(),
        // Days are written year first, so a day's name begins with its month's.
        month: day.get(..7).ok_or_else(|| unreadable("day"))?.to_owned(),
        admitted_at: moment(admitted_at)?,
        settled_at: moment(settled_at)?,
        asked,
        came,
    })
}

pub(super) fn credits(micros: &str) -> Result<Credits, Outage> {
    micros.parse().map(Credits::from_micros).map_err(|_| unreadable("amount"))
}

pub(super) fn moment(micros: &str) -> Result<Timestamp, Outage> {
    let micros = micros.parse().map_err(|_| unreadable("time"))?;
    Timestamp::from_microsecond(micros).map_err(|_| unreadable("time"))
}

fn outcome(name: &str) -> Result<Outcome, Outage> {
    Outcome::ALL.into_iter().find(|outcome| outcome.name() == name).ok_or_else(|| unreadable("outcome"))
}

pub(super) fn unreadable(what: &str) -> Outage {
    Outage::Refused(format!("a call whose {what} cannot be read"))
}
