//! Access of one handle to Redis, with what it knows of the server.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::keys::Keys;
use super::replication_ids::ReplicationIds;
use super::settings::Settings;
use crate::clock::Clock;
use crate::ledger::OnLoss;
use crate::ledger::keeper::LossRules;
use crate::maps::FastMap;
use crate::store::{Client, Cmd, Outage, Script, UnusableSettings, Value};
use crate::team::TeamId;

/// The script that compares and writes.
pub(super) const TEXT: &str = include_str!("keeper.lua");

/// Redis as the keeper of one handle.
pub(super) struct RedisKeeper {
    pub(super) client: Client,
    pub(super) settings: Settings,
    pub(super) script: Script,
    /// Name of this process among those that take turns.
    pub(super) process: String,
    pub(super) trust: Trust,
    pub(super) replication_ids: ReplicationIds,
    keys: Mutex<FastMap<TeamId, Arc<Keys>>>,
    /// Number for the next step's name.
    pub(super) names: AtomicU64,
}

/// What one handle knows of its server.
pub(super) struct Trust {
    /// Number of the connection whose server was trusted. In a cluster, nodes change behind one
    /// connection.
    pub(super) trusted: AtomicU64,
    /// Number of the connection whose server the store has noted.
    pub(super) introduced: AtomicU64,
    /// Whether this process has logged that the store is empty and held.
    pub(super) logged_held: Arc<AtomicBool>,
}

impl Trust {
    pub(super) fn new(logged_held: Arc<AtomicBool>) -> Self {
        Self { trusted: AtomicU64::new(0), introduced: AtomicU64::new(0), logged_held }
    }
}

impl RedisKeeper {
    pub(super) fn new(
        client: Client,
        settings: Settings,
        process: &str,
        logged_held: Arc<AtomicBool>,
    ) -> Self {
        let trust = Trust::new(logged_held);
        // A random start, so that two handles do not use the same names.
        let names = AtomicU64::new(
            u64::try_from(Uuid::now_v7().as_u128() & 0x3fff_ffff_ffff_ffff).unwrap_or(0),
        );
        let (script, process, replication_ids) =
            (Script::new(TEXT), process.to_owned(), ReplicationIds::default());
        let keys = Mutex::default();
        Self { client, settings, script, process, trust, replication_ids, keys, names }
    }

    /// The names of a team's keys, made once.
    pub(super) fn keys(&self, team: &TeamId) -> Arc<Keys> {
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = known.get(team) {
            return Arc::clone(keys);
        }
        Arc::clone(known.entry(team.clone()).or_insert_with(|| Arc::new(Keys::of(team))))
    }

    /// Another handle of the same process, with its own connection.
    pub(super) fn another(
        &self,
        clock: Clock,
        logged_held: Arc<AtomicBool>,
    ) -> Result<Self, UnusableSettings> {
        Ok(Self::new(
            self.client.another(clock)?,
            self.settings.clone(),
            &self.process,
            logged_held,
        ))
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The rules for losses.
    pub(super) fn loss_rules(&self) -> LossRules {
        LossRules { gather: self.settings.gather(), hold: self.settings.on_loss == OnLoss::Hold }
    }

    /// The number of the connection, if it leads to one server.
    pub(super) async fn server(&self) -> Result<Option<u64>, Outage> {
        Ok(self.client.to_one_server().await?.map(|(number, _)| number))
    }

    /// Runs one command on a team's key, for a caller that has passed the breaker.
    pub(super) async fn run(
        &self,
        team: &TeamId,
        key: &str,
        command: &Cmd,
    ) -> Result<Value, Outage> {
        self.client.go_on(Some(team), key, |mut link| async move { link.run(command).await }).await
    }

    /// The same for what belongs to no team.
    pub(super) async fn run_about_all(&self, key: &str, command: &Cmd) -> Result<Value, Outage> {
        self.client.go_on(None, key, |mut link| async move { link.run(command).await }).await
    }

    /// Reads with one command on a team's key, unless the breaker is open.
    pub(super) async fn read(
        &self,
        team: &TeamId,
        key: &str,
        command: &Cmd,
    ) -> Result<Value, Outage> {
        self.client.run(Some(team), key, command).await
    }

    /// Time sent in place of the server's, in microseconds, or 0.
    pub(super) fn fixed_now(&self) -> u64 {
        self.client.fixed_now().unwrap_or(0)
    }
}
