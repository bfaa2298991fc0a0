//! The records in one file: the tables, how they are keyed, and how the file is opened.

use std::fs::File;
use std::path::Path;

use jiff::Timestamp;
use redb::{Database, DatabaseError, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::OpenError;
use super::record::{ReservationRecord, ScopeName, ScopeRecord};
use super::state::Records;
use crate::ledger::{ReservationId, Row};
use crate::team::TeamId;

/// The format that this code reads and writes. Another one is not opened: better no ledger than a misread one.
const FORMAT: u64 = 1;
/// Pages of the file held in memory: enough for the scopes that are in use.
const CACHE_BYTES: usize = 16 << 20;
/// Sorts after every id of a reservation, which are hexadecimal digits.
const AFTER_IDS: &str = "~";

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Team, level, whose → [`ScopeRecord`] as JSON. The parts of a key are apart: no name can run into the next.
const SCOPES: TableDefinition<(&str, &str, &str), &[u8]> = TableDefinition::new("scopes");
/// Team, id → [`ReservationRecord`] as JSON.
const OPEN: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("open");
/// Team, deadline, id: the open reservations in the order in which they are due.
const DEADLINES: TableDefinition<(&str, i64, &str), ()> = TableDefinition::new("deadlines");
/// Team, number → when it was settled (microseconds of Unix time), and the [`Row`] as JSON.
const ROWS: TableDefinition<(&str, u64), (i64, &[u8])> = TableDefinition::new("rows");

/// Why records could not be read or written; says it in words for the operator.
#[derive(Clone, Debug)]
pub(super) struct Fault(pub(super) String);

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Opens the file, or makes it; for this process alone.
pub(super) fn open(path: &Path) -> Result<Database, OpenError> {
    let unusable = |fault: Fault| OpenError::Unusable { path: path.to_owned(), reason: fault.0 };
    let made = !path.exists();
    let opened = redb::Builder::new().set_cache_size(CACHE_BYTES).create(path);
    if matches!(opened, Err(DatabaseError::DatabaseAlreadyOpen)) {
        return Err(OpenError::InUse { path: path.to_owned() });
    }
    let database = opened.map_err(|error| unusable(error.into()))?;
    if made {
        sync_folder(path).map_err(|error| unusable(error.into()))?;
    }
    match check_format(&database).map_err(unusable)? {
        FORMAT => Ok(database),
        found => Err(OpenError::Format { path: path.to_owned(), found, known: FORMAT }),
    }
}

/// Makes the new file's name durable too: a file that nobody finds after a power cut would be a fresh budget.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()
}

/// The file's format; a new file gets ours, and all tables.
fn check_format(database: &Database) -> Result<u64, Fault> {
    let transaction = database.begin_write()?;
    let found = {
        let mut meta = transaction.open_table(META)?;
        let found = meta.get("format")?.map(|format| format.value());
        if found.is_none() {
            meta.insert("format", FORMAT)?;
        }
        found
    };
    if found.is_none() {
        Tables::open(&transaction)?;
    }
    transaction.commit()?;
    Ok(found.unwrap_or(FORMAT))
}

/// All tables within one transaction.
pub(super) struct Tables<'t> {
    scopes: Table<'t, (&'static str, &'static str, &'static str), &'static [u8]>,
    open: Table<'t, (&'static str, &'static str), &'static [u8]>,
    deadlines: Table<'t, (&'static str, i64, &'static str), ()>,
    rows: Table<'t, (&'static str, u64), (i64, &'static [u8])>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            scopes: transaction.open_table(SCOPES)?,
            open: transaction.open_table(OPEN)?,
            deadlines: transaction.open_table(DEADLINES)?,
            rows: transaction.open_table(ROWS)?,
        })
    }
}

impl Records for Tables<'_> {
    type Fault = Fault;

    fn scope(&self, team: &TeamId, scope: &ScopeName) -> Result<ScopeRecord, Fault> {
        match self.scopes.get((team.as_str(), scope.level.as_str(), scope.whose.as_str()))? {
            Some(bytes) => Ok(serde_json::from_slice(bytes.value())?),
            None => Ok(ScopeRecord::default()),
        }
    }

    fn put_scope(&mut self, team: &TeamId, scope: &ScopeName, record: &ScopeRecord) -> Result<(), Fault> {
        let bytes = serde_json::to_vec(record)?;
        self.scopes.insert((team.as_str(), scope.level.as_str(), scope.whose.as_str()), bytes.as_slice())?;
        Ok(())
    }

    fn reservation(&self, team: &TeamId, id: ReservationId) -> Result<Option<ReservationRecord>, Fault> {
        let found = self.open.get((team.as_str(), id.to_string().as_str()))?;
        Ok(found.map(|bytes| serde_json::from_slice(bytes.value())).transpose()?)
    }

    fn put_reservation(&mut self, team: &TeamId, id: ReservationId, to: &ReservationRecord) -> Result<(), Fault> {
        let name = id.to_string();
        let before = self.reservation(team, id)?.map(|record| record.deadline);
        if before != Some(to.deadline) {
            if let Some(deadline) = before {
                self.deadlines.remove((team.as_str(), deadline, name.as_str()))?;
            }
            self.deadlines.insert((team.as_str(), to.deadline, name.as_str()), ())?;
        }
        self.open.insert((team.as_str(), name.as_str()), serde_json::to_vec(to)?.as_slice())?;
        Ok(())
    }

    fn take_reservation(&mut self, team: &TeamId, id: ReservationId) -> Result<Option<ReservationRecord>, Fault> {
        let name = id.to_string();
        let taken = match self.open.remove((team.as_str(), name.as_str()))? {
            Some(bytes) => serde_json::from_slice::<ReservationRecord>(bytes.value())?,
            None => return Ok(None),
        };
        self.deadlines.remove((team.as_str(), taken.deadline, name.as_str()))?;
        Ok(Some(taken))
    }

    fn open(&self, team: &TeamId) -> Result<u64, Fault> {
        let mut open = 0;
        for reservation in self.open.range((team.as_str(), "")..(team.as_str(), AFTER_IDS))? {
            reservation?;
            open += 1;
        }
        Ok(open)
    }

    fn overdue(&self, team: &TeamId, now: i64, most: usize) -> Result<Vec<ReservationId>, Fault> {
        let due = (team.as_str(), i64::MIN, "")..(team.as_str(), now, AFTER_IDS);
        let mut overdue = Vec::new();
        for entry in self.deadlines.range(due)?.take(most) {
            overdue.push(entry?.0.value().2.parse()?);
        }
        Ok(overdue)
    }

    fn append_row(&mut self, team: &TeamId, row: &Row) -> Result<(), Fault> {
        let newest = self.rows.range((team.as_str(), 0)..=(team.as_str(), u64::MAX))?.next_back().transpose()?;
        let number = newest.map_or(0, |(key, _)| key.value().1.saturating_add(1));
        let bytes = serde_json::to_vec(row)?;
        self.rows.insert((team.as_str(), number), (row.settled_at.as_microsecond(), bytes.as_slice()))?;
        Ok(())
    }

    fn trim_rows(&mut self, team: &TeamId, before: Timestamp, most: usize) -> Result<usize, Fault> {
        let mut old = Vec::new();
        for entry in self.rows.range((team.as_str(), 0)..=(team.as_str(), u64::MAX))?.take(most) {
            let (key, row) = entry?;
            if row.value().0 >= before.as_microsecond() {
                break;
            }
            old.push(key.value().1);
        }
        for number in &old {
            self.rows.remove((team.as_str(), *number))?;
        }
        Ok(old.len())
    }

    fn rows(&self, team: &TeamId, limit: usize) -> Result<Vec<Row>, Fault> {
        let newest_first = self.rows.range((team.as_str(), 0)..=(team.as_str(), u64::MAX))?.rev();
        let mut rows = Vec::new();
        for entry in newest_first.take(limit) {
            rows.push(serde_json::from_slice(entry?.1.value().1)?);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_of_another_format_is_not_opened() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("ledger.db");
        let database = open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(META).unwrap().insert("format", FORMAT + 1).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let error = open(&path).err().unwrap();
        assert!(matches!(error, OpenError::Format { found: 2, known: 1, .. }), "{error}");
        assert!(error.to_string().ends_with("has format 2, this version knows format 1"), "{error}");
    }
}
