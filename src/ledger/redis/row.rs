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

fn read_fields(fields: &HashMap<String, String>) -> Result<Row, Outage> {
    let text = |name: &'static str| fields.get(name).map(String::as_str).ok_or_else(|| unreadable(name));
    let number = |name| text(name)?.parse::<u64>().map_err(|_| unreadable(name));
    let moment = |name| {
        let micros = i64::try_from(number(name)?).map_err(|_| unreadable(name))?;
        Timestamp::from_microsecond(micros).map_err(|_| unreadable(name))
    };
    Ok(Row {
        id: text("id")?.parse().map_err(|_| unreadable("id"))?,
        outcome: outcome(text("outcome")?)?,
        reserved: Credits::from_micros(number("reserved")?),
        charged: Credits::from_micros(number("charged")?),
        day: text("day")?.to_owned(),
        month: text("month")?.to_owned(),
        admitted_at: moment("admitted_at")?,
        settled_at: moment("settled_at")?,
        asked: serde_json::from_str(text("asked")?).map_err(|_| unreadable("asked"))?,
        came: match text("came")? {
            "" => Came::default(),
            came => serde_json::from_str(came).map_err(|_| unreadable("came"))?,
        },
    })
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
