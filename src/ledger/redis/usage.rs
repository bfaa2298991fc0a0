//! Reads the days of a team's usage.

use std::collections::BTreeMap;

use jiff::civil::Date;
use redis::{FromRedisValue, Value};

use super::keys::unescaped;
use crate::ledger::usage::BEYOND;
use crate::ledger::{Outage, Sums, Usage};

/// How many numbers a cell has.
const NUMBERS: usize = 9;

/// Reads what `HGETALL` answers for one day, by user and model. A cell that cannot be read is an error: sums are money.
pub(super) fn read(day: Date, cells: &Value) -> Result<Vec<Usage>, Outage> {
    let cells: BTreeMap<String, String> = BTreeMap::from_redis_value_ref(cells).map_err(|_| unreadable())?;
    let mut usage: Vec<Usage> =
        cells.iter().map(|(name, sums)| read_cell(day, name, sums)).collect::<Result<_, _>>()?;
    usage.sort_by(|one, other| (&one.user, &one.model).cmp(&(&other.user, &other.model)));
    Ok(usage)
}

fn read_cell(day: Date, name: &str, sums: &str) -> Result<Usage, Outage> {
    let mut numbers: Vec<u64> = sums.split(' ').map(str::parse).collect::<Result<_, _>>().map_err(|_| unreadable())?;
    // One that was written before refused calls were counted has none.
    numbers.resize(numbers.len().max(NUMBERS), 0);
    let sums = Sums::from_numbers(numbers.try_into().map_err(|_| unreadable())?);
    if name == BEYOND {
        return Ok(Usage { day, user: BEYOND.to_owned(), model: BEYOND.to_owned(), sums });
    }
    let (model, user) = name.split_once(' ').ok_or_else(unreadable)?;
    Ok(Usage { day, user: unescaped(user).ok_or_else(unreadable)?, model: model.to_owned(), sums })
}

fn unreadable() -> Outage {
    Outage::Refused("usage that cannot be read".to_owned())
}
