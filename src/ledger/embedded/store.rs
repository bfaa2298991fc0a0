//! Tables of the file: their keys, and opening it.

use std::fs::File;
use std::path::Path;

use jiff::Timestamp;
use redb::{
    Database, DatabaseError, ReadableTable, StorageError, Table, TableDefinition, WriteTransaction,
};

use super::fault::Fault;
use super::open_error::OpenError;
use super::rows::RowTables;
use super::sums::SumTables;
use crate::ledger::machine::{
    Cell, Records, ReservationRecord, ScopeName, ScopeRecord, TopUpRecord,
};
use crate::ledger::{Days, ReservationId, Row, Rows, Scope, Sums, TopUpId, Usage};
use crate::permits::embedded::Account;
use crate::team::TeamId;

/// Format of the file. Another format is not opened, since misreading one would be worse.
const FORMAT: u64 = 1;
/// Pages of the file in memory: enough for the scopes in use.
const CACHE_BYTES: usize = 16 << 20;
/// Sorts after every id of a reservation (hexadecimal digits) or top-up (which has no such
/// character).
const AFTER_IDS: &str = "~";

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Team, level, name → [`ScopeRecord`] as JSON. Parts of a key are separate, so that names cannot
/// run together.
const SCOPES: TableDefinition<(&str, &str, &str), &[u8]> = TableDefinition::new("scopes");
/// Team, from when it may be forgotten (microseconds of Unix time), level, name: scopes that
/// expire.
const ENDS: TableDefinition<(&str, i64, &str, &str), ()> = TableDefinition::new("scope_ends");
/// Team, id → [`ReservationRecord`] as JSON: open calls, and those whose answers are still being
/// read.
const OPEN: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("open");
/// Team, deadline, id: open reservations by deadline.
const DEADLINES: TableDefinition<(&str, i64, &str), ()> = TableDefinition::new("deadlines");
/// Team, id → when it was added (microseconds of Unix time), and the [`TopUpRecord`] as JSON.
const TOP_UPS: TableDefinition<(&str, &str), (i64, &[u8])> = TableDefinition::new("top_ups");
/// A single entry `windows`: the shared account's [`Account`] as JSON.
const ACCOUNT: TableDefinition<&str, &[u8]> = TableDefinition::new("account");
/// Name → what operators changed at run time, as the key registry writes it.
const ENTRIES: TableDefinition<&str, &[u8]> = TableDefinition::new("register");
/// Id of a gateway key → when it was last used, in seconds since 1970.
const USED: TableDefinition<&str, i64> = TableDefinition::new("key_uses");

/// Opens the file for this process alone, or creates it. A damaged file is not opened at all, since
/// its numbers are money.
pub(super) fn open(path: &Path) -> Result<Database, OpenError> {
    let unusable = |fault: Fault| OpenError::Unusable { path: path.to_owned(), reason: fault.0 };
    let made = !path.exists();
    // A damaged file may make redb panic, which must become an error with a message.
    let opened = std::panic::catch_unwind(|| open_whole(path)).unwrap_or_else(|_| Err(damaged()));
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

/// Opens the file and checks all of it: redb compares pages with their checksums only on request. A
/// killed process leaves no damage.
fn open_whole(path: &Path) -> Result<Database, DatabaseError> {
    let mut database = redb::Builder::new().set_cache_size(CACHE_BYTES).create(path)?;
    if database.check_integrity()? { Ok(database) } else { Err(damaged()) }
}

fn damaged() -> DatabaseError {
    StorageError::Corrupted("the file is damaged".to_owned()).into()
}

/// Makes the new file's name durable too: a file that is missing after a power cut would mean fresh
/// budgets.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()
}

/// The file's format; a new file gets ours and all tables.
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

/// All tables in one transaction.
pub(super) struct Tables<'t> {
    scopes: Table<'t, (&'static str, &'static str, &'static str), &'static [u8]>,
    ends: Table<'t, (&'static str, i64, &'static str, &'static str), ()>,
    open: Table<'t, (&'static str, &'static str), &'static [u8]>,
    deadlines: Table<'t, (&'static str, i64, &'static str), ()>,
    rows: RowTables<'t>,
    sums: SumTables<'t>,
    top_ups: Table<'t, (&'static str, &'static str), (i64, &'static [u8])>,
    account: Table<'t, &'static str, &'static [u8]>,
    pub(super) entries: Table<'t, &'static str, &'static [u8]>,
    pub(super) used: Table<'t, &'static str, i64>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            scopes: transaction.open_table(SCOPES)?,
            ends: transaction.open_table(ENDS)?,
            open: transaction.open_table(OPEN)?,
            deadlines: transaction.open_table(DEADLINES)?,
            rows: RowTables::open(transaction)?,
            sums: SumTables::open(transaction)?,
            top_ups: transaction.open_table(TOP_UPS)?,
            account: transaction.open_table(ACCOUNT)?,
            entries: transaction.open_table(ENTRIES)?,
            used: transaction.open_table(USED)?,
        })
    }
}

impl Tables<'_> {
    /// Teams with any records, by name.
    pub(super) fn teams(&self) -> Result<Vec<TeamId>, Fault> {
        let (mut teams, mut after) = (Vec::new(), String::new());
        // Jumps from one team to the next without reading what is between.
        while let Some(found) = self.scopes.range((after.as_str(), "", "")..)?.next() {
            let name = found?.0.value().0.to_owned();
            teams.extend(TeamId::parse(&name));
            after = name + "\0";
        }
        Ok(teams)
    }

    /// The team's open reservations, newest first.
    pub(super) fn newest_open(
        &self,
        team: &TeamId,
        most: usize,
    ) -> Result<Vec<(ReservationId, ReservationRecord)>, Fault> {
        let mut newest = Vec::new();
        // Ids sort by the time at which they were made.
        for entry in self.open.range((team.as_str(), "")..(team.as_str(), AFTER_IDS))?.rev() {
            let (key, record) = entry?;
            let record: ReservationRecord = serde_json::from_slice(record.value())?;
            if !record.unread {
                newest.push((key.value().1.parse()?, record));
            }
            if newest.len() == most {
                break;
            }
        }
        Ok(newest)
    }

    /// State of the shared account.
    pub(super) fn account(&self) -> Result<Account, Fault> {
        let found = self.account.get("windows")?;
        Ok(found
            .map(|bytes| serde_json::from_slice(bytes.value()))
            .transpose()?
            .unwrap_or_default())
    }

    /// Writes the state of the shared account.
    pub(super) fn put_account(&mut self, account: &Account) -> Result<(), Fault> {
        self.account.insert("windows", serde_json::to_vec(account)?.as_slice())?;
        Ok(())
    }

    /// The team's rows, newest first, after skipping some.
    pub(super) fn rows(&self, team: &TeamId, skip: usize, limit: usize) -> Result<Rows, Fault> {
        self.rows.stretch(team, skip as u64, limit)
    }

    /// The team's usage of these days, by day, user and model.
    pub(super) fn usage(&self, team: &TeamId, days: &Days) -> Result<Vec<Usage>, Fault> {
        self.sums.usage(team, days)
    }
}

impl Records for Tables<'_> {
    type Fault = Fault;

    fn scope(&self, team: &TeamId, scope: &ScopeName) -> Result<ScopeRecord, Fault> {
        match self.scopes.get((team.as_str(), &*scope.level, &*scope.whose))? {
            Some(bytes) => Ok(serde_json::from_slice(bytes.value())?),
            None => Ok(ScopeRecord::default()),
        }
    }

    fn put_scope(
        &mut self,
        team: &TeamId,
        scope: &ScopeName,
        record: ScopeRecord,
    ) -> Result<(), Fault> {
        let before = self.scope(team, scope)?.until();
        let (level, whose) = (&*scope.level, &*scope.whose);
        if before != record.until() {
            if let Some(before) = before {
                self.ends.remove((team.as_str(), before, level, whose))?;
            }
            if let Some(until) = record.until() {
                self.ends.insert((team.as_str(), until, level, whose), ())?;
            }
        }
        self.scopes
            .insert((team.as_str(), level, whose), serde_json::to_vec(&record)?.as_slice())?;
        Ok(())
    }

    fn past_scopes(&self, team: &TeamId, now: i64, most: usize) -> Result<Vec<ScopeName>, Fault> {
        let past =
            (team.as_str(), i64::MIN, "", "")..(team.as_str(), now.saturating_add(1), "", "");
        let mut names = Vec::new();
        for entry in self.ends.range(past)?.take(most) {
            let entry = entry?;
            let (_, _, level, whose) = entry.0.value();
            names.push(ScopeName { level: level.to_owned().into(), whose: whose.into() });
        }
        Ok(names)
    }

    fn drop_scope(&mut self, team: &TeamId, scope: &ScopeName) -> Result<(), Fault> {
        let (level, whose) = (&*scope.level, &*scope.whose);
        if let Some(until) = self.scope(team, scope)?.until() {
            self.ends.remove((team.as_str(), until, level, whose))?;
        }
        self.scopes.remove((team.as_str(), level, whose))?;
        Ok(())
    }

    fn reservation(
        &self,
        team: &TeamId,
        id: ReservationId,
    ) -> Result<Option<ReservationRecord>, Fault> {
        let found = self.open.get((team.as_str(), id.to_string().as_str()))?;
        Ok(found.map(|bytes| serde_json::from_slice(bytes.value())).transpose()?)
    }

    fn put_reservation(
        &mut self,
        team: &TeamId,
        id: ReservationId,
        to: ReservationRecord,
    ) -> Result<(), Fault> {
        let name = id.to_string();
        let before = self.reservation(team, id)?.map(|record| record.deadline);
        if before != Some(to.deadline) {
            if let Some(deadline) = before {
                self.deadlines.remove((team.as_str(), deadline, name.as_str()))?;
            }
            self.deadlines.insert((team.as_str(), to.deadline, name.as_str()), ())?;
        }
        self.open.insert((team.as_str(), name.as_str()), serde_json::to_vec(&to)?.as_slice())?;
        Ok(())
    }

    fn take_reservation(
        &mut self,
        team: &TeamId,
        id: ReservationId,
    ) -> Result<Option<ReservationRecord>, Fault> {
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
            open += 1_u64;
        }
        Ok(open.saturating_sub(self.scope(team, &ScopeName::from(&Scope::Team))?.unread()))
    }

    fn overdue(&self, team: &TeamId, now: i64, most: usize) -> Result<Vec<ReservationId>, Fault> {
        let due = (team.as_str(), i64::MIN, "")..(team.as_str(), now, AFTER_IDS);
        let mut overdue = Vec::new();
        for entry in self.deadlines.range(due)?.take(most) {
            overdue.push(entry?.0.value().2.parse()?);
        }
        Ok(overdue)
    }

    fn append_row(&mut self, team: &TeamId, row: Row) -> Result<(), Fault> {
        self.rows.append(team, &row)
    }

    fn trim_rows(
        &mut self,
        team: &TeamId,
        before: Timestamp,
        rows_max: u64,
        most: usize,
    ) -> Result<usize, Fault> {
        self.rows.trim(team, before, rows_max, most)
    }

    fn top_up(&self, team: &TeamId, id: &TopUpId) -> Result<Option<TopUpRecord>, Fault> {
        let found = self.top_ups.get((team.as_str(), id.as_str()))?;
        Ok(found.map(|entry| serde_json::from_slice(entry.value().1)).transpose()?)
    }

    fn put_top_up(
        &mut self,
        team: &TeamId,
        id: &TopUpId,
        record: &TopUpRecord,
        (at, before): (Timestamp, Timestamp),
    ) -> Result<(), Fault> {
        let of_the_team = (team.as_str(), "")..(team.as_str(), AFTER_IDS);
        self.top_ups
            .retain_in(of_the_team, |_, (added_at, _)| added_at >= before.as_microsecond())?;
        let bytes = serde_json::to_vec(record)?;
        self.top_ups
            .insert((team.as_str(), id.as_str()), (at.as_microsecond(), bytes.as_slice()))?;
        Ok(())
    }

    fn sums(&self, team: &TeamId, cell: Cell<'_>) -> Result<Option<Sums>, Fault> {
        self.sums.sums(team, cell)
    }

    fn put_sums(
        &mut self,
        team: &TeamId,
        cell: Cell<'_>,
        sums: Sums,
        _is_new: bool,
    ) -> Result<(), Fault> {
        self.sums.put(team, cell, sums)
    }

    fn cells(&self, team: &TeamId, day: &str) -> Result<u64, Fault> {
        self.sums.cells(team, day)
    }

    fn trim_usage(
        &mut self,
        team: &TeamId,
        before: Timestamp,
        most: usize,
    ) -> Result<usize, Fault> {
        self.sums.trim(team, &before.strftime("%Y-%m-%d").to_string(), most)
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
