//! Reads of the past: rows, and days of usage.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::decode::sums;
use super::keys::{Keys, cell_of};
use super::{record_text, upgrade_text};
use crate::ledger::keeper::TeamRecord;
use crate::ledger::{LostRows, Outage, Rows, Sums, Usage};
use crate::store::answer::unreadable;
use crate::store::{Cmd, FromRedisValue, Value, cmd};

/// The script that finds rows.
const SCRIPT: &str = include_str!("rows.lua");

/// The command for part of a team's rows.
pub(super) fn rows(keys: &Keys, skip: usize, limit: usize) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(SCRIPT).arg(3).arg(&keys.rows).arg(&keys.state);
    // More rows than there can be; larger numbers would not be exact as a list index in Lua.
    let most = |number: usize| number.min(u32::MAX as usize);
    command.arg(most(skip)).arg(most(limit));
    command
}

/// Decodes rows. A row that cannot be decoded is an error and not skipped, since it is money.
pub(super) fn read_rows(answer: &Value) -> Result<Rows, Outage> {
    let Value::Array(items) = answer else { return Err(unreadable("rows")) };
    let [total, team, entries @ ..] = &items[..] else { return Err(unreadable("rows")) };
    let total = u64::from_redis_value_ref(total).map_err(|_| unreadable("a number"))?;
    let team = Vec::<u8>::from_redis_value_ref(team).map_err(|_| unreadable("a team's record"))?;
    let row = |value: &Value| {
        let kept = String::from_redis_value_ref(value).map_err(|_| unreadable("a row"))?;
        match kept.splitn(3, ' ').nth(2) {
            Some(row) if row.starts_with('[') => record_text::read_row(row.as_bytes()),
            _ => upgrade_text::read_row(&kept),
        }
    };
    let rows = entries.iter().map(row).collect::<Result<_, Outage>>()?;
    Ok(Rows { rows, total, lost: lost(&team)? })
}

fn lost(team: &[u8]) -> Result<LostRows, Outage> {
    if team.is_empty() {
        return Ok(LostRows::default());
    }
    let team: TeamRecord =
        serde_json::from_slice(team).map_err(|_| unreadable("a team's record"))?;
    let until = |micros: i64| {
        Some(micros)
            .filter(|at| *at > 0)
            .map(|at| Timestamp::from_microsecond(at).unwrap_or_default())
    };
    let ([paid, free], [paid_until, free_until]) = (team.lost, team.lost_until.map(until));
    Ok(LostRows { paid, free, paid_until, free_until })
}

/// Decodes one day's usage by user and model. A cell that cannot be decoded is an error, since it
/// is money.
pub(super) fn read_usage(day: Date, cells: &Value) -> Result<Vec<Usage>, Outage> {
    let cells: Vec<(String, String)> =
        Vec::from_redis_value_ref(cells).map_err(|_| unreadable("usage"))?;
    let mut usage: BTreeMap<(String, String), Sums> = BTreeMap::new();
    for (name, text) in &cells {
        let (model, user, sums) = match cell_of(name) {
            Some((model, user)) => (model.to_owned(), user.to_owned(), sums(text)?),
            None => {
                let (model, user) =
                    upgrade_text::cell_of(name).ok_or_else(|| unreadable("usage"))?;
                (model, user, upgrade_text::sums(text)?)
            }
        };
        // Adds cells of both layouts, which a user and model may have on the day of a team's
        // upgrade.
        *usage.entry((user, model)).or_default() += sums;
    }
    Ok(usage.into_iter().map(|((user, model), sums)| Usage { day, user, model, sums }).collect())
}
