//! Reads rows from the team's lists.

use jiff::Timestamp;
use redis::{Cmd, FromRedisValue, Value};
use serde::Deserialize;

use super::keys::{Keys, free_rows_key, team_scope_key};
use crate::credits::Credits;
use crate::ledger::{Asked, Came, LostRows, Outage, Outcome, Row, Rows};
use crate::team::TeamId;

/// The script that finds them (`rows.lua`).
const SCRIPT: &str = include_str!("rows.lua");

/// Asks for a stretch of a team's rows.
pub(super) fn asked(team: &TeamId, skip: usize, limit: usize) -> Cmd {
    let mut asked = redis::cmd("EVAL");
    asked.arg(SCRIPT).arg(3).arg(Keys::of(team).rows).arg(free_rows_key(team)).arg(team_scope_key(team));
    // So many rows there are never; beyond them a number of Lua is no place in a list.
    let most = |number: usize| number.min(u32::MAX as usize);
    asked.arg(most(skip)).arg(most(limit));
    asked
}

/// Reads what the script answers. Money is never passed over: a row that cannot be read is an error.
pub(super) fn read(answer: &Value) -> Result<Rows, Outage> {
    let Value::Array(items) = answer else { return Err(unreadable("answer")) };
    let [total, lost, entries @ ..] = &items[..] else { return Err(unreadable("answer")) };
    let total = u64::from_redis_value_ref(total).map_err(|_| unreadable("number"))?;
    let lost = String::from_redis_value_ref(lost).map_err(|_| unreadable("losses"))?;
    let entry = |entry| String::from_redis_value_ref(entry).map_err(|_| unreadable("entry"));
    let rows = entries.iter().map(|value| read_entry(&entry(value)?)).collect::<Result<_, Outage>>()?;
    Ok(Rows { rows, total, lost: read_lost(&lost)? })
}

fn read_lost(text: &str) -> Result<LostRows, Outage> {
    if text.is_empty() {
        return Ok(LostRows::default());
    }
    let numbers: Vec<i64> =
        text.split(' ').map(str::parse).collect::<Result<_, _>>().map_err(|_| unreadable("losses"))?;
    let [paid, free, paid_until, free_until] = numbers[..] else { return Err(unreadable("losses")) };
    let until = |micros: i64| Some(micros).filter(|micros| *micros > 0);
    let at = |micros| Timestamp::from_microsecond(micros).map_err(|_| unreadable("losses"));
    Ok(LostRows {
        paid: paid.unsigned_abs(),
        free: free.unsigned_abs(),
        paid_until: until(paid_until).map(at).transpose()?,
        free_until: until(free_until).map(at).transpose()?,
    })
}

/// What the script wrote: id, outcome, charged, when settled, and its place among all rows, which older ones lack; then the
/// reservation's record, which is phase, when admitted, day, price, model, user, scopes, what was asked; then what came,
/// unless a sweep ended it.
fn read_entry(entry: &str) -> Result<Row, Outage> {
    let asked_at = entry.find('{').ok_or_else(|| unreadable("call"))?;
    let (head, asked) = entry.split_at(asked_at);
    let mut head = head.split(' ');
    let mut next = |name| head.next().ok_or_else(|| unreadable(name));
    let (id, outcome_name, charged, settled_at) =
        (next("id")?, next("outcome")?, next("charged")?, next("settled_at")?);
    let order_or_phase = next("phase")?;
    if order_or_phase.starts_with(|first: char| first.is_ascii_digit()) {
        next("phase")?;
    }
    let (admitted_at, day, price) = (next("admitted_at")?, next("day")?, next("price")?);
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
