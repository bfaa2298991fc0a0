//! Key registry in Redis beside the ledger, in a hash slot of its own: gateway keys and
//! suspensions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::store::{Entry, Store, Version};
use crate::clock::Clock;
use crate::store::answer::{read, unreadable};
use crate::store::observe::report;
use crate::store::{
    Client, Cmd, Observer, Outage, Replicas, Script, Settings, Topology, Unobserved,
    UnusableSettings, Value, run_script,
};
use crate::team::KeyId;

/// Deadline of polling, whatever the ledger's, and of connecting for it. Two seconds after Redis
/// answers again every replica must know of a change, so no poll may still wait for an earlier one.
/// Reading all keys takes much less.
const LOOK_DEADLINE: Duration = Duration::from_secs(1);
/// Least deadline of a change, which waits for replicas.
const CHANGE_DEADLINE_MIN: Duration = Duration::from_secs(1);
/// Most uses of keys noted in one step.
const USES_MAX: usize = 500;
const TEXT: &str = include_str!("registry.lua");

/// Keys of the registry, in one slot. No team's name can begin like its hash tag.
struct RegistryKeys;

impl RegistryKeys {
    /// Hash: name → entry.
    const ENTRIES: &'static str = "mg1:{:register}:entries";
    /// String: version of the entries.
    const VERSION: &'static str = "mg1:{:register}:version";
    /// Hash: id of a gateway key → when it was last used, in seconds since 1970.
    const USED: &'static str = "mg1:{:register}:used";
}

/// The registry in the ledger's Redis. As with the ledger, each runtime has its own, and nothing is
/// sent before the first step.
pub struct RedisKeyRegistry {
    /// Polls the version, reads the entries and notes uses: everything that the poller does.
    looks: Client,
    /// All other steps, on a connection with a longer deadline.
    changes: Client,
    observer: Arc<dyn Observer>,
    script: Script,
    wait_replicas: u32,
}

impl RedisKeyRegistry {
    /// Connects on first use.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn new(
        settings: Settings,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, UnusableSettings> {
        let wait_replicas = settings.wait_replicas;
        let client = |deadline| {
            // The ledger's client reports whether the store is up.
            let settings = Settings { deadline, ..settings.clone() };
            Client::new(settings, clock.clone(), Arc::new(Unobserved))
        };
        let looks = client(LOOK_DEADLINE)?.dialling_within(match settings.topology {
            Topology::Single { .. } | Topology::Cluster { .. } => LOOK_DEADLINE,
            // A first Sentinel that is down costs a second.
            Topology::Sentinel { .. } => LOOK_DEADLINE + LOOK_DEADLINE / 4,
        })?;
        let changes = client(settings.deadline.max(CHANGE_DEADLINE_MIN))?;
        Ok(Self { looks, changes, observer, script: Script::new(TEXT), wait_replicas })
    }

    /// Runs one step of the script. A change counts once as many replicas have it as a reservation
    /// needs.
    async fn step(
        &self,
        client: &Client,
        op: &'static str,
        replicas: u32,
        arguments: &[&[u8]],
    ) -> Result<Value, Outage> {
        let call = |command: &str, script: &str| call(command, script, arguments);
        let started = Instant::now();
        let reply = client.on_link(None, RegistryKeys::ENTRIES, |mut link| async move {
            let (key, patience) = (RegistryKeys::ENTRIES, CHANGE_DEADLINE_MIN / 3);
            let replicas = (replicas > 0).then_some(Replicas { key, count: replicas, patience });
            run_script(&mut link, (&self.script, TEXT), call, replicas.as_ref()).await
        });
        let reply = reply.await.and_then(|(value, have)| {
            let too_few =
                || Outage::Refused(format!("{have} of {replicas} replicas have the change"));
            if have < replicas { Err(too_few()) } else { Ok(value) }
        });
        report(&*self.observer, op, &reply, started);
        reply
    }

    /// Runs one plain command.
    async fn ask(&self, client: &Client, op: &'static str, command: Cmd) -> Result<Value, Outage> {
        let started = Instant::now();
        let reply = client.run(None, RegistryKeys::ENTRIES, &command).await;
        report(&*self.observer, op, &reply, started);
        reply
    }
}

fn call(command: &str, script: &str, arguments: &[&[u8]]) -> Cmd {
    let mut call = Cmd::new();
    call.arg(command).arg(script).arg(3);
    call.arg(RegistryKeys::ENTRIES).arg(RegistryKeys::VERSION).arg(RegistryKeys::USED);
    for argument in arguments {
        call.arg(*argument);
    }
    call
}

/// Name of an answer in errors.
const REGISTRY: &str = "the key registry";

impl Store for RedisKeyRegistry {
    fn version(&self) -> BoxFuture<'_, Result<Version, Outage>> {
        async move {
            let mut get = Cmd::new();
            get.arg("GET").arg(RegistryKeys::VERSION);
            let version: Option<_> =
                read(self.ask(&self.looks, "register_version", get).await?, REGISTRY)?;
            Ok(Version(version.unwrap_or_default()))
        }
        .boxed()
    }

    fn read(&self) -> BoxFuture<'_, Result<(Version, Vec<Entry>), Outage>> {
        async move {
            let both = self.step(&self.looks, "register_read", 0, &[b"read"]).await?;
            let (version, entries): (Option<_>, _) = read(both, REGISTRY)?;
            Ok((Version(version.unwrap_or_default()), entries))
        }
        .boxed()
    }

    fn entry<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, Outage>> {
        async move {
            let mut get = Cmd::new();
            get.arg("HGET").arg(RegistryKeys::ENTRIES).arg(name);
            read(self.ask(&self.changes, "register_entry", get).await?, REGISTRY)
        }
        .boxed()
    }

    fn replace<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        entry: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, Outage>> {
        async move {
            let version = Uuid::now_v7().to_string();
            let arguments = [
                b"replace",
                name.as_bytes(),
                expected.unwrap_or_default(),
                entry,
                version.as_bytes(),
            ];
            Ok(self.step(&self.changes, "register_replace", self.wait_replicas, &arguments).await?
                == Value::Int(1))
        }
        .boxed()
    }

    fn note_used<'a>(&'a self, used: &'a [(KeyId, i64)]) -> BoxFuture<'a, Result<(), Outage>> {
        async move {
            for some in used.chunks(USES_MAX) {
                let times: Vec<String> = some.iter().map(|(_, at)| at.to_string()).collect();
                let pairs = some
                    .iter()
                    .zip(&times)
                    .flat_map(|((id, _), at)| [id.as_str().as_bytes(), at.as_bytes()]);
                let arguments: Vec<&[u8]> =
                    std::iter::once(&b"note_used"[..]).chain(pairs).collect();
                self.step(&self.looks, "register_note_used", 0, &arguments).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn last_used(&self) -> BoxFuture<'_, Result<HashMap<KeyId, i64>, Outage>> {
        async move {
            let mut get = Cmd::new();
            get.arg("HGETALL").arg(RegistryKeys::USED);
            let noted = self.ask(&self.changes, "register_last_used", get).await?;
            let noted: Vec<(String, i64)> = read(noted, REGISTRY)?;
            let used = noted.into_iter().map(|(id, at)| Some((KeyId::parse(&id)?, at)));
            used.collect::<Option<_>>().ok_or_else(|| unreadable(REGISTRY))
        }
        .boxed()
    }
}
