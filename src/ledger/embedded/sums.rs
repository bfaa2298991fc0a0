//! Usage in the file: totals of a team's calls by day, user and model.

use jiff::ToSpan;
use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use super::fault::Fault;
use crate::ledger::machine::Cell;
use crate::ledger::{Days, Sums, Usage};
use crate::team::TeamId;

/// Team, day, user, model → totals without refused calls. Days are written so that they sort by
/// time.
const USAGE: TableDefinition<(&str, &str, &str, &str), [u64; 8]> = TableDefinition::new("usage");
/// The same → number of refused calls, if any: separate, since older files do not have it.
const REFUSED: TableDefinition<(&str, &str, &str, &str), u64> =
    TableDefinition::new("usage_refused");
/// Team, day → number of its cells in [`USAGE`], so that they need not be counted for each new one.
const CELLS: TableDefinition<(&str, &str), u64> = TableDefinition::new("usage_cells");

/// Cells of all days, in three tables.
pub(super) struct SumTables<'t> {
    usage: Table<'t, (&'static str, &'static str, &'static str, &'static str), [u64; 8]>,
    refused: Table<'t, (&'static str, &'static str, &'static str, &'static str), u64>,
    cells: Table<'t, (&'static str, &'static str), u64>,
}

impl<'t> SumTables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            usage: transaction.open_table(USAGE)?,
            refused: transaction.open_table(REFUSED)?,
            cells: transaction.open_table(CELLS)?,
        })
    }

    /// A cell.
    pub(super) fn sums(&self, team: &TeamId, cell: Cell<'_>) -> Result<Option<Sums>, Fault> {
        let key = (team.as_str(), cell.day, cell.user, cell.model);
        let Some(numbers) = self.usage.get(key)?.map(|numbers| numbers.value()) else {
            return Ok(None);
        };
        self.with_refused(key, numbers).map(Some)
    }

    /// Writes a cell.
    pub(super) fn put(&mut self, team: &TeamId, cell: Cell<'_>, sums: Sums) -> Result<(), Fault> {
        let key = (team.as_str(), cell.day, cell.user, cell.model);
        let [numbers @ .., refused] = sums.to_numbers();
        let is_new = self.usage.insert(key, numbers)?.is_none();
        if refused > 0 {
            self.refused.insert(key, refused)?;
        }
        if is_new {
            let cells = self.cells(team, cell.day)?;
            self.cells.insert((team.as_str(), cell.day), cells + 1)?;
        }
        Ok(())
    }

    /// Number of a day's cells.
    pub(super) fn cells(&self, team: &TeamId, day: &str) -> Result<u64, Fault> {
        Ok(self.cells.get((team.as_str(), day))?.map_or(0, |cells| cells.value()))
    }

    /// The team's usage of these days, by day, user and model.
    pub(super) fn usage(&self, team: &TeamId, days: &Days) -> Result<Vec<Usage>, Fault> {
        let (first, after) =
            (days.start().to_string(), days.end().saturating_add(1.day()).to_string());
        let mut usage = Vec::new();
        for cell in self.usage.range(
            (team.as_str(), first.as_str(), "", "")..(team.as_str(), after.as_str(), "", ""),
        )? {
            let (key, numbers) = cell?;
            let (_, day, user, model) = key.value();
            let sums = self.with_refused(key.value(), numbers.value())?;
            let (user, model) = (user.to_owned(), model.to_owned());
            usage.push(Usage { day: day.parse()?, user, model, sums });
        }
        Ok(usage)
    }

    /// Drops usage before a day, a bounded number of cells. Returns how many.
    pub(super) fn trim(
        &mut self,
        team: &TeamId,
        before: &str,
        most: usize,
    ) -> Result<usize, Fault> {
        let old = (team.as_str(), "", "", "")..(team.as_str(), before, "", "");
        let mut gone = 0;
        for cell in self.usage.extract_from_if(old, |_, _| true)?.take(most) {
            self.refused.remove(cell?.0.value())?;
            gone += 1;
        }
        for day in self
            .cells
            .extract_from_if((team.as_str(), "")..(team.as_str(), before), |_, _| true)?
            .take(most)
        {
            day?;
        }
        Ok(gone)
    }

    /// A cell with its refused calls added.
    fn with_refused(
        &self,
        cell: (&str, &str, &str, &str),
        numbers: [u64; 8],
    ) -> Result<Sums, Fault> {
        let [a, b, c, d, e, f, g, h] = numbers;
        let refused = self.refused.get(cell)?.map_or(0, |refused| refused.value());
        Ok(Sums::from_numbers([a, b, c, d, e, f, g, h, refused]))
    }
}
