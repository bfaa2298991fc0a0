//! What is kept of calls that have ended, a row and its share in the day's usage, and how that is bounded.

use jiff::Timestamp;

use super::records::Records;
use crate::credits::Credits;
use crate::ledger::usage::{CELLS_MAX, OVERFLOW};
use crate::ledger::{Retention, Row, Sums, Swept, SweptCharge};
use crate::team::TeamId;

/// The most of what is old that goes when a new row comes: more than one, so that rows get fewer after a burst.
const TRIM_BY_THE_WAY: usize = 2;

/// What was ended of a team that had been left behind, and what that was charged.
#[derive(Debug)]
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

/// A place in a day's usage.
#[derive(Clone, Copy, Debug)]
pub(in crate::ledger) struct Cell<'a> {
    /// In the team's zone.
    pub(in crate::ledger) day: &'a str,
    pub(in crate::ledger) user: &'a str,
    pub(in crate::ledger) model: &'a str,
}

/// Keeps the row of a call that has ended, and counts it.
pub(in crate::ledger) fn note<R: Records>(
    records: &mut R,
    team: &TeamId,
    row: Row,
    retention: &Retention,
    now: Timestamp,
) -> Result<(), R::Fault> {
    let named = Cell { day: &row.day, user: &row.asked.user, model: &row.asked.model };
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

/// Drops a bounded number of what is too old, or too much. Whether anything went.
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
