//! Records of ended calls, which are bounded: a row, and its share in the day's usage.

use jiff::Timestamp;

use super::records::{Cell, Records};
use crate::credits::Credits;
use crate::ledger::usage::{CELLS_MAX, OVERFLOW};
use crate::ledger::{Retention, Row, Sums, Swept, SweptCharge};
use crate::team::TeamId;

/// The most old records dropped with a new row: more than one, so that the rows shrink again after
/// a burst.
const TRIM_BY_THE_WAY: usize = 2;

/// An abandoned call that was ended, with its charge.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Ended {
    pub(in crate::ledger) team: TeamId,
    pub(in crate::ledger) swept: Swept,
    pub(in crate::ledger) charges: Vec<SweptCharge>,
}

impl Ended {
    pub(in crate::ledger) fn of(team: &TeamId) -> Self {
        Self { team: team.clone(), swept: Swept::default(), charges: Vec::new() }
    }

    pub(in crate::ledger) fn charge(&mut self, model: String, credits: Credits) {
        match self.charges.iter_mut().find(|charge| charge.model == model) {
            Some(charge) => charge.credits = charge.credits.plus(credits),
            None => self.charges.push(SweptCharge { model, credits }),
        }
    }
}

/// Appends the row of an ended call and counts it.
pub(in crate::ledger) fn note<R: Records>(
    records: &mut R,
    team: &TeamId,
    row: Row,
    retention: &Retention,
    now: Timestamp,
) -> Result<(), R::Fault> {
    let named = Cell { day: &row.day, user: &row.summary.user, model: &row.summary.model };
    let beyond = Cell { user: OVERFLOW, model: OVERFLOW, ..named };
    let (cell, before) = match records.sums(team, named)? {
        Some(before) => (named, Some(before)),
        None if records.cells(team, named.day)? < CELLS_MAX => (named, None),
        None => (beyond, records.sums(team, beyond)?),
    };
    let mut sums = before.unwrap_or_default();
    sums += Sums::from(&row);
    records.put_sums(team, cell, sums, before.is_none())?;
    records.append_row(team, row)?;
    trim(records, team, retention, now, TRIM_BY_THE_WAY).map(drop)
}

/// Drops a bounded number of old or surplus records. Returns whether any were dropped.
pub(in crate::ledger) fn trim<R: Records>(
    records: &mut R,
    team: &TeamId,
    retention: &Retention,
    now: Timestamp,
    most: usize,
) -> Result<bool, R::Fault> {
    let before = |age| now.checked_sub(age).unwrap_or(Timestamp::MIN);
    let rows = records.trim_rows(team, before(retention.rows), retention.rows_max, most)?;
    let cells = records.trim_usage(team, before(retention.usage), most)?;
    Ok(rows + cells > 0)
}

#[cfg(test)]
#[path = "past_tests.rs"]
mod tests;
