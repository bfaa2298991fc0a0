//! Entries that another room keeps in the ledger's file, through the same writer: by name, and
//! times of last use. That room gives them meaning.

use redb::ReadableTable;

use super::EmbeddedLedger;
use super::fault::Fault;
use super::store::Tables;
use crate::ledger::Outage;
use crate::store::observe::observed;

impl Tables<'_> {
    /// All entries.
    fn entries(&self) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        let mut entries = Vec::new();
        for entry in self.entries.iter()? {
            let (name, bytes) = entry?;
            entries.push((name.value().to_owned(), bytes.value().to_vec()));
        }
        Ok(entries)
    }

    /// One entry.
    fn entry(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.entries.get(name)?.map(|bytes| bytes.value().to_vec()))
    }

    /// Writes an entry.
    fn put_entry(&mut self, name: &str, entry: &[u8]) -> Result<(), Fault> {
        self.entries.insert(name, entry)?;
        Ok(())
    }

    /// Notes a use, unless a later one is known.
    fn note_used(&mut self, id: &str, at: i64) -> Result<(), Fault> {
        let noted = self.used.get(id)?.map(|noted| noted.value());
        if noted.is_none_or(|noted| noted < at) {
            self.used.insert(id, at)?;
        }
        Ok(())
    }

    /// Times of last use.
    fn last_used(&self) -> Result<Vec<(String, i64)>, Fault> {
        let mut noted = Vec::new();
        for entry in self.used.iter()? {
            let (id, at) = entry?;
            noted.push((id.value().to_owned(), at.value()));
        }
        Ok(noted)
    }
}

/// The caller gives the name of each operation in metrics (`op`).
impl EmbeddedLedger {
    /// All entries with their content.
    pub(crate) async fn entries(&self, op: &'static str) -> Result<Vec<(String, Vec<u8>)>, Outage> {
        observed(&*self.observer, op, self.writer.ask(|state| state.machine.records().entries()))
            .await
    }

    /// Content of one entry; `None` when it does not exist.
    pub(crate) async fn entry(
        &self,
        op: &'static str,
        name: &str,
    ) -> Result<Option<Vec<u8>>, Outage> {
        let name = name.to_owned();
        let entry = self.writer.ask(move |state| state.machine.records().entry(&name));
        observed(&*self.observer, op, entry).await
    }

    /// Replaces an entry if its content is as expected (`None`: it does not exist). Returns `false`
    /// when it was not, and nothing changed.
    pub(crate) async fn replace_entry(
        &self,
        op: &'static str,
        name: &str,
        expected: Option<&[u8]>,
        entry: &[u8],
    ) -> Result<bool, Outage> {
        let (name, expected, entry) =
            (name.to_owned(), expected.map(<[u8]>::to_vec), entry.to_vec());
        let replace = self.writer.ask(move |state| {
            let there = state.machine.records().entry(&name)?;
            if there.as_ref() == Some(&entry) {
                return Ok(true);
            }
            if there != expected {
                return Ok(false);
            }
            state.machine.records_to_write().put_entry(&name, &entry).map(|()| true)
        });
        observed(&*self.observer, op, replace).await
    }

    /// Notes uses by id.
    pub(crate) async fn note_used(
        &self,
        op: &'static str,
        used: Vec<(String, i64)>,
    ) -> Result<(), Outage> {
        let note = self.writer.ask(move |state| {
            let records = state.machine.records_to_write();
            used.iter().try_for_each(|(id, at)| records.note_used(id, *at))
        });
        observed(&*self.observer, op, note).await
    }

    /// Times of last use.
    pub(crate) async fn last_used(&self, op: &'static str) -> Result<Vec<(String, i64)>, Outage> {
        observed(&*self.observer, op, self.writer.ask(|state| state.machine.records().last_used()))
            .await
    }
}
