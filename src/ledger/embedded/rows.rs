//! Rows in the file: those of paid and those of free calls in a table each, so that free ones can
//! be dropped first.
//!
//! In each table a team's rows are numbered consecutively. A row begins with its order among all;
//! rows from before there were two tables lack it, and are older than all others.

use jiff::Timestamp;
use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use super::fault::Fault;
use crate::ledger::machine::judgement;
use crate::ledger::{LostRows, Row, Rows};
use crate::team::TeamId;

/// Team, number → when it was settled (microseconds of Unix time), and the row: its order in eight
/// bytes, then JSON.
const PAID: TableDefinition<(&str, u64), (i64, &[u8])> = TableDefinition::new("rows");
/// The same for free calls.
const FREE: TableDefinition<(&str, u64), (i64, &[u8])> = TableDefinition::new("rows_free");
/// Team → how many of each were dropped, and when the last of them had been settled (0: never).
const LOST: TableDefinition<&str, (u64, u64, i64, i64)> = TableDefinition::new("rows_lost");

type RowTable<'t> = Table<'t, (&'static str, u64), (i64, &'static [u8])>;

/// Both tables, and the counts of dropped rows.
pub(super) struct RowTables<'t> {
    paid: RowTable<'t>,
    free: RowTable<'t>,
    lost: Table<'t, &'static str, (u64, u64, i64, i64)>,
}

/// A team's rows in one table: consecutive numbers from `first`.
#[derive(Clone, Copy)]
struct Span {
    first: u64,
    count: u64,
}

impl Span {
    fn of(table: &RowTable<'_>, team: &TeamId) -> Result<Self, Fault> {
        let mut all = table.range((team.as_str(), 0)..=(team.as_str(), u64::MAX))?;
        let Some(first) = all.next().transpose()?.map(|(key, _)| key.value().1) else {
            return Ok(Self { first: 0, count: 0 });
        };
        let last = all.next_back().transpose()?.map_or(first, |(key, _)| key.value().1);
        Ok(Self { first, count: last - first + 1 })
    }

    /// The number of the row that has `newer` rows after it.
    const fn behind(self, newer: u64) -> Option<u64> {
        if newer < self.count { Some(self.first + self.count - 1 - newer) } else { None }
    }

    const fn next(self) -> u64 {
        self.first + self.count
    }
}

/// Order of a row among all.
fn order(bytes: &[u8]) -> u64 {
    match bytes.split_first_chunk() {
        Some((order, _)) if bytes.first() != Some(&b'{') => u64::from_be_bytes(*order),
        Some(_) | None => 0,
    }
}

fn read(bytes: &[u8]) -> Result<Row, Fault> {
    let json = if bytes.first() == Some(&b'{') {
        bytes
    } else {
        bytes.get(size_of::<u64>()..).unwrap_or_default()
    };
    Ok(serde_json::from_slice(json)?)
}

fn order_at(table: &RowTable<'_>, team: &TeamId, number: Option<u64>) -> Result<u64, Fault> {
    let Some(number) = number else { return Ok(0) };
    Ok(table.get((team.as_str(), number))?.map_or(0, |row| order(row.value().1)))
}

impl<'t> RowTables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            paid: transaction.open_table(PAID)?,
            free: transaction.open_table(FREE)?,
            lost: transaction.open_table(LOST)?,
        })
    }

    /// Appends a row to the team's.
    pub(super) fn append(&mut self, team: &TeamId, row: &Row) -> Result<(), Fault> {
        let (paid, free) = (Span::of(&self.paid, team)?, Span::of(&self.free, team)?);
        let newest = order_at(&self.paid, team, paid.behind(0))?.max(order_at(
            &self.free,
            team,
            free.behind(0),
        )?);
        let mut bytes = (newest + 1).to_be_bytes().to_vec();
        serde_json::to_writer(&mut bytes, row)?;
        let (table, span) =
            if row.charged.micros() > 0 { (&mut self.paid, paid) } else { (&mut self.free, free) };
        table.insert(
            (team.as_str(), span.next()),
            (row.settled_at.as_microsecond(), bytes.as_slice()),
        )?;
        Ok(())
    }

    /// Drops the oldest rows that were settled before a time or are too many, at most `most`.
    /// Returns how many.
    pub(super) fn trim(
        &mut self,
        team: &TeamId,
        before: Timestamp,
        rows_max: u64,
        most: usize,
    ) -> Result<usize, Fault> {
        let mut gone = 0;
        for table in [&mut self.free, &mut self.paid] {
            while gone < most && Self::drop_outdated(table, team, before.as_microsecond())? {
                gone += 1;
            }
        }
        let (paid, free) = (Span::of(&self.paid, team)?.count, Span::of(&self.free, team)?.count);
        let over = (paid + free).saturating_sub(rows_max).min((most - gone) as u64);
        let free_gone = over.min(free);
        if over > 0 {
            self.lose(team, over - free_gone, free_gone)?;
        }
        Ok(gone + usize::try_from(over).unwrap_or(usize::MAX))
    }

    fn drop_outdated(table: &mut RowTable<'_>, team: &TeamId, before: i64) -> Result<bool, Fault> {
        let Span { first, count } = Span::of(table, team)?;
        let settled = table.get((team.as_str(), first))?.map(|row| row.value().0);
        let is_old = count > 0 && settled.is_some_and(|settled| settled < before);
        if is_old {
            table.remove((team.as_str(), first))?;
        }
        Ok(is_old)
    }

    /// Drops this many of the oldest rows of each kind, and counts them.
    fn lose(&mut self, team: &TeamId, paid: u64, free: u64) -> Result<(), Fault> {
        let (mut all_paid, mut all_free, mut paid_until, mut free_until) =
            self.lost.get(team.as_str())?.map(|lost| lost.value()).unwrap_or_default();
        for (table, count, all, until) in [
            (&mut self.paid, paid, &mut all_paid, &mut paid_until),
            (&mut self.free, free, &mut all_free, &mut free_until),
        ] {
            let first = Span::of(table, team)?.first;
            for number in first..first + count {
                if let Some(row) = table.remove((team.as_str(), number))? {
                    *until = row.value().0;
                }
            }
            *all += count;
        }
        self.lost.insert(team.as_str(), (all_paid, all_free, paid_until, free_until))?;
        Ok(())
    }

    /// The team's rows, newest first, after skipping some.
    pub(super) fn stretch(&self, team: &TeamId, skip: u64, limit: usize) -> Result<Rows, Fault> {
        let (paid, free) = (Span::of(&self.paid, team)?, Span::of(&self.free, team)?);
        let (total, lost) = (paid.count + free.count, self.lost(team)?);
        if skip >= total {
            return Ok(Rows { rows: Vec::new(), total, lost });
        }
        // How many of the skipped rows are paid ones: bisects between these bounds by whether one
        // more paid row is newer than the last skipped free one.
        let (mut from, mut most) = (skip.saturating_sub(free.count), skip.min(paid.count));
        while from < most {
            let half = u64::midpoint(from, most);
            let one = order_at(&self.paid, team, paid.behind(half))?;
            if one > order_at(&self.free, team, free.behind(skip - half - 1))? {
                from = half + 1;
            } else {
                most = half;
            }
        }
        let mut rows = Vec::new();
        let (mut one, mut other) = (from, skip - from);
        while rows.len() < limit && one + other < total {
            let (in_paid, in_free) = (paid.behind(one), free.behind(other));
            let is_paid = match (in_paid, in_free) {
                (Some(_), Some(_)) => {
                    order_at(&self.paid, team, in_paid)? > order_at(&self.free, team, in_free)?
                }
                (in_paid, _) => in_paid.is_some(),
            };
            let (table, number) =
                if is_paid { (&self.paid, in_paid) } else { (&self.free, in_free) };
            *(if is_paid { &mut one } else { &mut other }) += 1;
            if let Some(row) = table.get((team.as_str(), number.unwrap_or_default()))? {
                rows.push(read(row.value().1)?);
            }
        }
        Ok(Rows { rows, total, lost })
    }

    fn lost(&self, team: &TeamId) -> Result<LostRows, Fault> {
        let Some(lost) = self.lost.get(team.as_str())? else { return Ok(LostRows::default()) };
        let (paid, free, paid_until, free_until) = lost.value();
        let until = |micros: i64| (micros > 0).then(|| judgement::at(micros));
        Ok(LostRows { paid, free, paid_until: until(paid_until), free_until: until(free_until) })
    }
}
