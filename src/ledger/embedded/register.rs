//! The register in the ledger's file: gateway keys and suspensions, written by the same writer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redb::ReadableTable;

use super::EmbeddedLedger;
use super::store::{Fault, Tables};
use super::writer::Writer;
use crate::identity::store::{Entry, Store, Version};
use crate::ledger::Outage;
use crate::store::observe::observed;
use crate::team::KeyId;

/// The register in the file of an [`EmbeddedLedger`].
#[derive(Clone)]
pub struct EmbeddedRegister {
    ledger: EmbeddedLedger,
    /// Only this process changes the file, so it counts the changes itself.
    changes: Arc<AtomicU64>,
}

impl EmbeddedRegister {
    /// The register of this ledger. Clones are the same; a second one would not notice what the first changes.
    #[must_use]
    pub fn new(ledger: EmbeddedLedger) -> Self {
        Self { ledger, changes: Arc::default() }
    }

    fn writer(&self) -> &Writer {
        &self.ledger.writer
    }

    fn version_now(&self) -> Version {
        Version(self.changes.load(Ordering::Acquire).to_be_bytes().to_vec())
    }
}

impl Tables<'_> {
    /// Every entry of the register.
    fn entries(&self) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        let mut entries = Vec::new();
        for entry in self.entries.iter()? {
            let (name, bytes) = entry?;
            entries.push((name.value().to_owned(), bytes.value().to_vec()));
        }
        Ok(entries)
    }

    /// One entry of the register.
    fn entry(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.entries.get(name)?.map(|bytes| bytes.value().to_vec()))
    }

    /// Keeps an entry of the register.
    fn put_entry(&mut self, name: &str, entry: &[u8]) -> Result<(), Fault> {
        self.entries.insert(name, entry)?;
        Ok(())
    }

    /// Notes that a key was used, unless it was used later.
    fn note_used(&mut self, id: &str, at: i64) -> Result<(), Fault> {
        let noted = self.used.get(id)?.map(|noted| noted.value());
        if noted.is_none_or(|noted| noted < at) {
            self.used.insert(id, at)?;
        }
        Ok(())
    }

    /// When each key was used last.
    fn last_used(&self) -> Result<Vec<(String, i64)>, Fault> {
        let mut noted = Vec::new();
        for entry in self.used.iter()? {
            let (id, at) = entry?;
            noted.push((id.value().to_owned(), at.value()));
        }
        Ok(noted)
    }
}

impl Store for EmbeddedRegister {
    fn version(&self) -> BoxFuture<'_, Result<Version, Outage>> {
        std::future::ready(Ok(self.version_now())).boxed()
    }

    fn read(&self) -> BoxFuture<'_, Result<(Version, Vec<Entry>), Outage>> {
        // Taken before the entries are: at worst the same entries are read once more.
        let version = self.version_now();
        let read = async move {
            let entries = self.writer().ask(|state| state.machine.records().entries()).await?;
            Ok((version, entries))
        };
        observed(&*self.ledger.observer, "register_read", read)
    }

    fn entry<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, Outage>> {
        let name = name.to_owned();
        let entry = self.writer().ask(move |state| state.machine.records().entry(&name));
        observed(&*self.ledger.observer, "register_entry", entry)
    }

    fn replace<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, Outage>> {
        let (name, expected, entry) = (name.to_owned(), expected.map(<[u8]>::to_vec), entry.to_vec());
        let replace = async move {
            let replaced = self.writer().ask(move |state| {
                let there = state.machine.records().entry(&name)?;
                if there.as_ref() == Some(&entry) {
                    return Ok(true);
                }
                if there != expected {
                    return Ok(false);
                }
                state.machine.records_to_write().put_entry(&name, &entry).map(|()| true)
            });
            let replaced = replaced.await;
            // Also when nobody knows what happened: reading once more does no harm.
            self.changes.fetch_add(1, Ordering::AcqRel);
            replaced
        };
        observed(&*self.ledger.observer, "register_replace", replace)
    }

    fn note_used<'a>(&'a self, used: &'a [(KeyId, i64)]) -> BoxFuture<'a, Result<(), Outage>> {
        let used = used.to_vec();
        let note = self.writer().ask(move |state| {
            let records = state.machine.records_to_write();
            used.iter().try_for_each(|(id, at)| records.note_used(id.as_str(), *at))
        });
        observed(&*self.ledger.observer, "register_note_used", note)
    }

    fn last_used(&self) -> BoxFuture<'_, Result<HashMap<KeyId, i64>, Outage>> {
        let read = async move {
            let noted = self.writer().ask(|state| state.machine.records().last_used()).await?;
            Ok(noted.into_iter().filter_map(|(id, at)| Some((KeyId::parse(&id)?, at))).collect())
        };
        observed(&*self.ledger.observer, "register_last_used", read)
    }
}
