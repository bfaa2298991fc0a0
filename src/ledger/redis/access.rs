//! Access of one handle to Redis, with what it knows of the server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::keys::Keys;
use super::replication_ids::ReplicationIds;
use super::settings::Settings;
use crate::clock::Clock;
use crate::ledger::OnLoss;
use crate::ledger::keeper::LossRules;
use crate::ledger::machine::name_of_step;
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
    pub(super) process: Arc<Process>,
    pub(super) trust: Trust,
    pub(super) replication_ids: ReplicationIds,
    keys: Mutex<FastMap<TeamId, Arc<Keys>>>,
}

/// A process among those that use the store, with all its handles.
pub(super) struct Process {
    /// Its name among those that take turns.
    pub(super) name: String,
    /// Its part in the names of its steps.
    number: u64,
    steps: AtomicU64,
}

impl Process {
    pub(super) fn new() -> Self {
        let id = Uuid::now_v7();
        // The second half of the id is random.
        let (name, (_, number)) = (id.simple().to_string(), id.as_u64_pair());
        Self { name, number, steps: AtomicU64::new(1) }
    }

    /// Names the next step, on whichever handle it is sent.
    pub(super) fn name_step(&self) -> u64 {
        name_of_step(self.number, self.steps.fetch_add(1, Ordering::Relaxed))
    }
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
        process: Arc<Process>,
        logged_held: Arc<AtomicBool>,
    ) -> Self {
        let trust = Trust::new(logged_held);
        let (script, replication_ids) = (Script::new(TEXT), ReplicationIds::default());
        Self { client, settings, script, process, trust, replication_ids, keys: Mutex::default() }
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
            Arc::clone(&self.process),
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
