//! Reads rows from the team's stream.

use std::collections::HashMap;

use jiff::Timestamp;
use redis::{FromRedisValue, Value};

use crate::credits::Credits;
use crate::ledger::{Came, Outage, Outcome, Row};

/// Reads what `XREVRANGE` answers. Money is never passed over: a row that cannot be read is an error.
pub(super) fn read(entries: &Value) -> Result<Vec<Row>, Outage> {
    let Value::Array(entries) = entries else { return Err(unreadable("entries")) };
    entries.iter().map(read_entry).collect()
}

fn read_entry(entry: &Value) -> Result<Row, Outage> {
    let Value::Array(parts) = entry else { return Err(unreadable("entry")) };
    let fields = parts.get(1).ok_or_else(|| unreadable("entry"))?;
    let fields: HashMap<String, String> = HashMap::from_redis_value_ref(fields).map_err(|_| unreadable("entry"))?;
    read_fields(&fields)
}

/// `call` is the reservation's record as the script kept it: phase, when admitted, day, price, scopes, what was asked.
fn read_fields(fields: &HashMap<String, String>) -> Result<Row, Outage> {
    let text = |name: &'static str| fields.get(name).map(String::as_str).ok_or_else(|| unreadable(name));
    let call = text("call")?;
    let asked_at = call.find('{').ok_or_else(|| unreadable("call"))?;
    let (head, asked) = call.split_at(asked_at);
    let mut head = head.split(' ').skip(1);
    let mut next = || head.next().ok_or_else(|| unreadable("call"));
    let (admitted_at, day, price) = (next()?, next()?, next()?);
    Ok(Row {
        id: text("id")?.parse().map_err(|_| unreadable("id"))?,
        outcome: outcome(text("outcome")?)?,
        reserved: credits(price)?,
        charged: credits(text("charged")?)?,
        day: day.to_owned(),
        // Days are written year first, so a day's name begins with its month's.
        month: day.get(..7).ok_or_else(|| unreadable("day"))?.to_owned(),
        admitted_at: moment(admitted_at)?,
        settled_at: moment(text("settled_at")?)?,
        asked: serde_json::from_str(asked).map_err(|_| unreadable("call"))?,
        came: match text("came")? {
            "" => Came::default(),
            came => serde_json::from_str(came).map_err(|_| unreadable("came"))?,
        },
    })
}

fn credits(micros: &str) -> Result<Credits, Outage> {
    micros.parse().map(Credits::from_micros).map_err(|_| unreadable("amount"))
}

fn moment(micros: &str) -> Result<Timestamp, Outage> {
    let micros = micros.parse().map_err(|_| unreadable("time"))?;
    Timestamp::from_microsecond(micros).map_err(|_| unreadable("time"))
}

fn outcome(name: &str) -> Result<Outcome, Outage> {
    [Outcome::Charged, Outcome::Released, Outcome::Unknown]
        .into_iter()
        .find(|outcome| outcome.name() == name)
        .ok_or_else(|| unreadable("outcome"))
}

fn unreadable(what: &str) -> Outage {
    Outage::Refused(format!("a row whose {what} cannot be read"))
}
