//! Synchronizes this process's registry with the store: polls for changes several times a second,
//! and writes when keys were used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::Authenticator;
use super::key_names::KeyNames;
use super::key_registry::{KeyRegistry, Lost, ReadLimits};
use super::store::{Store, Version};
use crate::live::Live;
use crate::store::Outage;
use crate::team::KeyId;

/// Polling interval. Together with the deadline of polling and connecting (one second; a quarter
/// more with Sentinels) it makes a change known to every replica within two seconds, also after the
/// store was silent.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often uses of keys are collected.
const GATHER_EVERY: Duration = Duration::from_secs(5);
/// Least time between two notes of one key's use, in seconds.
const USE_NOTED_EVERY: i64 = 60;

/// One per process. Its caller passes in a store handle, since a handle belongs to one runtime.
pub struct RegistrySync {
    registry: Live<KeyRegistry>,
    authenticator: Live<Authenticator>,
    read_limits: ReadLimits,
    /// Held while reading, so that an older state never replaces a newer one.
    known: Mutex<Option<Version>>,
    is_read: watch::Sender<bool>,
}

impl RegistrySync {
    /// Synchronizes this registry into this authenticator.
    #[must_use]
    pub fn new(
        registry: Live<KeyRegistry>,
        authenticator: Live<Authenticator>,
        read_limits: ReadLimits,
    ) -> Self {
        Self {
            registry,
            authenticator,
            read_limits,
            known: Mutex::new(None),
            is_read: watch::Sender::new(false),
        }
    }

    /// The registry as known to this process.
    #[must_use]
    pub fn registry(&self) -> Arc<KeyRegistry> {
        self.registry.read()
    }

    /// Parser of limits.
    #[must_use]
    pub const fn read_limits(&self) -> ReadLimits {
        self.read_limits
    }

    /// The authenticator as known to this process.
    #[must_use]
    pub fn authenticator(&self) -> Arc<Authenticator> {
        self.authenticator.read()
    }

    /// Name of the gateway key that this user stands for, if there is one.
    #[must_use]
    pub fn key_name(&self, user: &str) -> Option<String> {
        self.key_names().of(user)
    }

    /// Names of all keys that are known to this process.
    #[must_use]
    pub fn key_names(&self) -> KeyNames {
        KeyNames::new(self.registry.clone(), self.authenticator.clone())
    }

    /// Reads all entries and puts them in force.
    ///
    /// # Errors
    /// The store did not answer; the known state stays in force.
    pub async fn refresh(&self, store: &dyn Store) -> Result<(), Outage> {
        let mut known = self.known.lock().await;
        let (mut version, mut entries) = store.read().await?;
        let before = self.registry.read();
        let lost = before.lost_from(&entries);
        if !lost.is_empty() {
            let brought = lost.len();
            bring_back(store, lost).await?;
            // Logged only now, since this is retried while the store fails.
            tracing::error!(
                entries = brought,
                "the store has lost keys or suspensions: what this replica knew of them was \
                 written back"
            );
            (version, entries) = store.read().await?;
        }
        self.registry.replace(KeyRegistry::read(entries, &before, self.read_limits));
        self.authenticator.read().take_up(&self.registry);
        *known = Some(version);
        self.is_read.send_replace(true);
        Ok(())
    }

    /// Waits until the registry was read once.
    pub async fn until_read(&self) {
        // The sender lives as long as `self`.
        let _ = self.is_read.subscribe().wait_for(|is_read| *is_read).await;
    }

    /// Keeps the registry fresh and notes uses of keys, until stopped. Writes the remaining uses
    /// then.
    pub async fn keep(&self, store: &dyn Store, stop: CancellationToken) {
        let (mut answered, mut noted) = (true, HashMap::new());
        let mut gathered = tokio::time::Instant::now();
        while !stop.is_cancelled() {
            let looked = self.look(store).await;
            match &looked {
                Err(outage) if answered => {
                    tracing::warn!(
                        %outage,
                        "keys and suspensions cannot be read from the store: those that are known \
                         stay in force"
                    );
                }
                Ok(()) if !answered => {
                    tracing::info!("keys and suspensions can be read from the store again")
                }
                Ok(()) | Err(_) => {}
            }
            answered = looked.is_ok();
            if answered && gathered.elapsed() >= GATHER_EVERY {
                gathered = tokio::time::Instant::now();
                self.note_uses(store, &mut noted).await;
            }
            let _ = tokio::time::timeout(LOOK_EVERY, stop.cancelled()).await;
        }
        self.note_uses(store, &mut noted).await;
    }

    async fn look(&self, store: &dyn Store) -> Result<(), Outage> {
        let version = store.version().await?;
        if self.known.lock().await.as_ref() == Some(&version) {
            return Ok(());
        }
        self.refresh(store).await
    }

    async fn note_uses(&self, store: &dyn Store, noted: &mut HashMap<KeyId, i64>) {
        let mut used = self.authenticator.read().uses();
        used.retain(|(id, at)| noted.get(id).is_none_or(|before| at - before >= USE_NOTED_EVERY));
        if used.is_empty() {
            return;
        }
        match store.note_used(&used).await {
            Ok(()) => noted.extend(used),
            // Retried next time; nothing but a displayed time depends on it.
            Err(outage) => tracing::debug!(%outage, "the latest uses of keys could not be written"),
        }
    }
}

/// Restores lost entries. Every replica does this, and an entry is written only if the store's is
/// still the one that was found, so the second one changes nothing.
async fn bring_back(store: &dyn Store, lost: Vec<Lost>) -> Result<(), Outage> {
    for Lost { name, found, known } in lost {
        // `false` where another replica or an operator was faster.
        let _: bool = store.replace(&name, found.as_deref(), &known).await?;
    }
    Ok(())
}
