//! Refused calls in Redis, in the hash slot of their team, for all replicas.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{KEPT_MAX, RefusedCall, Store};
use crate::clock::Clock;
use crate::store::answer::read;
use crate::store::observe::report;
use crate::store::{
    Client, Cmd, Observer, Outage, Script, Settings, Unobserved, UnusableSettings, run_script,
};
use crate::team::TeamId;

/// How long calls are kept after a team's last refusal.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
const TEXT: &str = include_str!("refused.lua");
/// Name of an answer in errors.
const LIST: &str = "the refused calls";

/// The calls in the ledger's Redis. Each runtime makes a handle of its own.
pub struct RedisRefused {
    client: Client,
    observer: Arc<dyn Observer>,
    script: Script,
}

impl RedisRefused {
    /// A handle.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn new(
        settings: Settings,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, UnusableSettings> {
        // Reports nothing about the store being up, since the ledger does.
        let client = Client::new(settings, clock, Arc::new(Unobserved))?;
        Ok(Self { client, observer, script: Script::new(TEXT) })
    }
}

fn key(team: &TeamId) -> String {
    format!("mg1:{{{team}}}:refused")
}

fn add(command: &str, script: &str, key: &str, calls: &[RefusedCall]) -> Cmd {
    let mut add = Cmd::new();
    add.arg(command).arg(script).arg(1).arg(key).arg(KEPT_MAX);
    add.arg(u64::try_from(KEPT_FOR.as_millis()).unwrap_or(u64::MAX));
    for call in calls.iter().rev() {
        // Texts and times always have a JSON form.
        add.arg(serde_json::to_vec(call).unwrap_or_default());
    }
    add
}

impl Store for RedisRefused {
    fn add<'a>(
        &'a self,
        team: &'a TeamId,
        newest_first: &'a [RefusedCall],
    ) -> BoxFuture<'a, Result<(), Outage>> {
        async move {
            let (started, key) = (Instant::now(), key(team));
            let call = |command: &str, script: &str| add(command, script, &key, newest_first);
            let added = self.client.on_link(Some(team), &key, |mut link| async move {
                run_script(&mut link, (&self.script, TEXT), call, None).await
            });
            let added = added.await.map(|_| ());
            report(&*self.observer, "refused_add", &added, started);
            added
        }
        .boxed()
    }

    /// Removes repeats: a list is added twice if the first answer was lost. Leaves out entries that
    /// another version wrote in another form.
    fn latest<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Vec<RefusedCall>, Outage>> {
        async move {
            let (started, key) = (Instant::now(), key(team));
            let mut range = Cmd::new();
            range.arg("LRANGE").arg(&key).arg(0).arg(-1);
            let listed = self.client.run(Some(team), &key, &range).await;
            let listed = listed.and_then(|value| read::<Vec<Vec<u8>>>(value, LIST));
            report(&*self.observer, "refused_list", &listed, started);
            let mut seen = HashSet::new();
            let calls = listed?.into_iter().filter_map(|call| serde_json::from_slice(&call).ok());
            Ok(calls.filter(|call: &RefusedCall| seen.insert(call.call_id.clone())).collect())
        }
        .boxed()
    }
}
