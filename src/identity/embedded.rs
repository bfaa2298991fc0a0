//! Key registry in the ledger's file, written by the same writer: gateway keys and suspensions.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::store::{Entry, Store, Version};
use crate::ledger::embedded::EmbeddedLedger;
use crate::store::Outage;
use crate::team::KeyId;

/// The registry in the file of an [`EmbeddedLedger`].
#[derive(Clone)]
pub struct EmbeddedKeyRegistry {
    ledger: EmbeddedLedger,
    /// Number of changes, which only this process makes.
    changes: Arc<AtomicU64>,
}

impl EmbeddedKeyRegistry {
    /// The registry of this ledger. Use clones of one: a second registry would not notice the first
    /// one's changes.
    #[must_use]
    pub fn new(ledger: EmbeddedLedger) -> Self {
        Self { ledger, changes: Arc::default() }
    }

    fn version_now(&self) -> Version {
        Version(self.changes.load(Ordering::Acquire).to_be_bytes().to_vec())
    }
}

impl Store for EmbeddedKeyRegistry {
    fn version(&self) -> BoxFuture<'_, Result<Version, Outage>> {
        std::future::ready(Ok(self.version_now())).boxed()
    }

    fn read(&self) -> BoxFuture<'_, Result<(Version, Vec<Entry>), Outage>> {
        // Read before the entries: at worst the same entries are read again.
        let version = self.version_now();
        async move { Ok((version, self.ledger.entries("register_read").await?)) }.boxed()
    }

    fn entry<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, Outage>> {
        self.ledger.entry("register_entry", name).boxed()
    }

    fn replace<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, Outage>> {
        async move {
            let replaced =
                self.ledger.replace_entry("register_replace", name, expected, entry).await;
            // Counted also when the outcome is unknown: reading again does no harm.
            self.changes.fetch_add(1, Ordering::AcqRel);
            replaced
        }
        .boxed()
    }

    fn note_used<'a>(&'a self, used: &'a [(KeyId, i64)]) -> BoxFuture<'a, Result<(), Outage>> {
        let used = used.iter().map(|(id, at)| (id.as_str().to_owned(), *at)).collect();
        self.ledger.note_used("register_note_used", used).boxed()
    }

    fn last_used(&self) -> BoxFuture<'_, Result<HashMap<KeyId, i64>, Outage>> {
        async move {
            let noted = self.ledger.last_used("register_last_used").await?;
            Ok(noted.into_iter().filter_map(|(id, at)| Some((KeyId::parse(&id)?, at))).collect())
        }
        .boxed()
    }
}
