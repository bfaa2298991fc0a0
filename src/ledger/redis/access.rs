//! How one handle reaches Redis as its keeper, and what it knows of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use uuid::Uuid;

use super::replication_ids::ReplicationIds;
use super::settings::Settings;
use crate::clock::Clock;
use crate::ledger::OnLoss;
use crate::ledger::keeper::LossRules;
use crate::store::{Client, Cmd, Outage, Script, UnusableSettings, Value};
use crate::team::TeamId;

/// The script that compares and writes.
pub(super) const TEXT: &str = include_str!("keeper.lua");

/// Redis, as one handle reaches it.
pub(super) struct RedisKeeper {
    pub(super) client: Client,
    pub(super) settings: Settings,
    pub(super) script: Script,
    /// Names this process among those that take turns.
    pub(super) process: String,
    pub(super) trust: Trust,
    pub(super) reigns: ReplicationIds,
    /// The name of the next step.
    pub(super) names: AtomicU64,
}

/// What one handle knows of the server that it reaches.
pub(super) struct Trust {
    /// The number of the connection to a server that was believed; nodes of a cluster come and go behind one
    /// connection.
    pub(super) believed: AtomicU64,
    /// The number of the connection of which the store has noted to which server it leads.
    pub(super) introduced: AtomicU64,
    /// Whether this process was told that the store is empty and held.
    pub(super) told_held: Arc<AtomicBool>,
}

impl Trust {
    pub(super) fn new(told_held: Arc<AtomicBool>) -> Self {
        Self { believed: AtomicU64::new(0), introduced: AtomicU64::new(0), told_held }
    }
}

impl RedisKeeper {
    pub(super) fn new(client: Client, settings: Settings, process: &str, told_held: Arc<AtomicBool>) -> Self {
        let trust = Trust::new(told_held);
        // Large enough that no two handles meet.
        let names = AtomicU64::new(u64::try_from(Uuid::now_v7().as_u128() & 0x3fff_ffff_ffff_ffff).unwrap_or(0));
        let (script, process, reigns) = (Script::new(TEXT), process.to_owned(), ReplicationIds::default());
        Self { client, settings, script, process, trust, reigns, names }
    }

    /// Another one of the same process, with a connection of its own.
    pub(super) fn another(&self, clock: Clock, told_held: Arc<AtomicBool>) -> Result<Self, UnusableSettings> {
        Ok(Self::new(self.client.another(clock)?, self.settings.clone(), &self.process, told_held))
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is done about losses.
    pub(super) fn loss_rules(&self) -> LossRules {
        LossRules { gather: self.settings.gather(), hold: self.settings.on_loss == OnLoss::Hold }
    }

    /// The number of the connection, if it leads to one server.
    pub(super) async fn server(&self) -> Result<Option<u64>, Outage> {
        Ok(self.client.to_one_server().await?.map(|(number, _)| number))
    }

    /// Runs one command about a team that names this key, for whoever has asked the breaker.
    pub(super) async fn run(&self, team: &TeamId, key: &str, command: &Cmd) -> Result<Value, Outage> {
        self.client.go_on(Some(team), key, |mut link| async move { link.run(command).await }).await
    }

    /// The same of what belongs to no team.
    pub(super) async fn run_about_all(&self, key: &str, command: &Cmd) -> Result<Value, Outage> {
        self.client.go_on(None, key, |mut link| async move { link.run(command).await }).await
    }

    /// Reads with one command about a team that names this key, unless the breaker is open.
    pub(super) async fn read(&self, team: &TeamId, key: &str, command: &Cmd) -> Result<Value, Outage> {
        self.client.run(Some(team), key, command).await
    }

    /// The time that is sent in place of the server's, in microseconds, or 0.
    pub(super) fn fixed_now(&self) -> u64 {
        self.client.fixed_now().unwrap_or(0)
    }
}
