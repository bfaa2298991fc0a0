//! Claims and stored responses in Redis, beside the ledger of their team and in the same slot.
//!
//! Each step is one call of a script, by the server's clock; every key expires. Steps have a
//! connection of their own, so that a large answer does not delay admissions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::redis_keys::ReplayKeys;
use super::{Begun, Claim, LISTED_MAX, Store, StoredResponse, Summary};
use crate::clock::Clock;
use crate::idempotency;
use crate::ledger::ReservationId;
use crate::request::RequestId;
use crate::store::answer::{read, unreadable};
use crate::store::observe::report;
use crate::store::{
    Client, Cmd, Observer, Outage, Script, Settings, Unobserved, UnusableSettings, Value,
    run_script,
};
use crate::team::TeamId;

/// Least deadline of a step, even if the ledger's is shorter: a large answer takes time to
/// transfer.
const PATIENCE: Duration = Duration::from_secs(2);
const TEXT: &str = include_str!("replay.lua");

/// A step of the script, and its name in the metrics.
#[derive(Clone, Copy)]
struct Step {
    name: &'static str,
    op: &'static str,
}

const BEGIN: Step = Step { name: "begin", op: "replay_begin" };
const FINISH: Step = Step { name: "finish", op: "replay_finish" };
const SENT: Step = Step { name: "sent", op: "replay_sent" };
const MARK_LOST: Step = Step { name: "lose", op: "replay_lose" };
const RELEASE: Step = Step { name: "release", op: "replay_release" };
const KEEP: Step = Step { name: "keep", op: "replay_keep" };
const FETCH: Step = Step { name: "fetch", op: "replay_fetch" };
const LIST: Step = Step { name: "list", op: "replay_list" };

/// Claims and answers in the ledger's Redis. As with the ledger, each worker thread makes a handle
/// of its own, and nothing is sent before the first step.
pub struct RedisReplays {
    client: Client,
    observer: Arc<dyn Observer>,
    script: Script,
    keeping: idempotency::Settings,
}

impl RedisReplays {
    /// A handle.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn new(
        settings: Settings,
        keeping: idempotency::Settings,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, UnusableSettings> {
        let settings = Settings { deadline: settings.deadline.max(PATIENCE), ..settings };
        // Reports nothing about the store being up: the ledger does, and a large answer may be slow
        // on a healthy store.
        let client = Client::new(settings, clock, Arc::new(Unobserved))?;
        Ok(Self { client, observer, script: Script::new(TEXT), keeping })
    }

    async fn step(
        &self,
        team: &TeamId,
        step: Step,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Reply, Outage> {
        let started = Instant::now();
        let own = ReplayKeys::of(team);
        let call =
            |command: &str, script: &str| call(command, script, &own, keys, step.name, arguments);
        let reply = self.client.on_link(Some(team), &own.bodies, |mut link| async move {
            run_script(&mut link, (&self.script, TEXT), call, None).await.map(|(value, _)| value)
        });
        let reply = reply.await.and_then(Reply::read);
        report(&*self.observer, step.op, &reply, started);
        reply
    }

    fn bounds(&self) -> [Vec<u8>; 3] {
        let [bytes, listed] = [self.keeping.memory_bytes_max, LISTED_MAX as u64]
            .map(|most| most.to_string().into_bytes());
        [millis(self.keeping.retention), bytes, listed]
    }
}

fn millis(duration: Duration) -> Vec<u8> {
    duration.as_millis().max(1).to_string().into_bytes()
}

fn call(
    command: &str,
    script: &str,
    own: &ReplayKeys,
    keys: &[&str],
    step: &str,
    arguments: &[&[u8]],
) -> Cmd {
    let bytes: usize = arguments.iter().map(|argument| argument.len()).sum();
    let mut call = Cmd::with_capacity(8 + keys.len() + arguments.len(), script.len() + bytes + 512);
    let own = [&own.bodies, &own.bytes, &own.open_calls, &own.kept];
    call.arg(command).arg(script).arg(own.len() + keys.len()).arg(&own).arg(keys).arg(step);
    for argument in arguments {
        call.arg(*argument);
    }
    call
}

/// The script's answer: a word, then its parts, such as head and body of an outcome.
struct Reply {
    word: Vec<u8>,
    parts: Vec<Option<Vec<u8>>>,
}

impl Reply {
    fn read(value: Value) -> Result<Self, Outage> {
        let mut parts = read::<Vec<Option<Vec<u8>>>>(value, CALL)?.into_iter();
        let word = parts.next().flatten().ok_or_else(|| unreadable(CALL))?;
        Ok(Self { word, parts: parts.collect() })
    }

    fn kept(self) -> Result<StoredResponse, Outage> {
        let mut parts = self.parts.into_iter();
        let head = parts.next().flatten().ok_or_else(|| unreadable(CALL))?;
        StoredResponse::read(&head, parts.next().flatten().map(Bytes::from))
            .ok_or_else(|| unreadable(CALL))
    }

    fn listed(self) -> Result<Vec<Summary>, Outage> {
        let summary = |pair: &[Option<Vec<u8>>]| {
            let [Some(head), Some(bytes)] = pair else { return None };
            let bytes = std::str::from_utf8(bytes).ok()?.parse().ok()?;
            let summary = StoredResponse::read(head, None)?.summary()?;
            // An empty body is noted in the head.
            Some(Summary {
                body_bytes: Some(bytes).filter(|bytes| *bytes > 0).or(summary.body_bytes),
                ..summary
            })
        };
        self.parts.chunks(2).map(|pair| summary(pair).ok_or_else(|| unreadable(CALL))).collect()
    }
}

/// Name of an answer in errors.
const CALL: &str = "what is remembered of a call";

impl Store for RedisReplays {
    fn begin<'a>(
        &'a self,
        claim: &'a Claim,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Begun, Outage>> {
        async move {
            let key = ReplayKeys::key(&claim.team, &claim.key);
            let (id, print) = (claim.id.to_string(), claim.fingerprint.to_string());
            let arguments = [id.as_bytes(), print.as_bytes(), &millis(ttl)];
            let reply = self.step(&claim.team, BEGIN, &[&key], &arguments).await?;
            match reply.word.as_slice() {
                b"first" => Ok(Begun::First),
                b"running" => Ok(Begun::Running),
                b"mismatch" => Ok(Begun::Mismatch),
                b"lost" => Ok(Begun::Lost),
                b"finished" => reply.kept().map(|kept| Begun::Finished(Box::new(kept))),
                _ => Err(unreadable(CALL)),
            }
        }
        .boxed()
    }

    fn sent<'a>(&'a self, claim: &'a Claim, ttl: Duration) -> BoxFuture<'a, Result<bool, Outage>> {
        async move {
            let key = ReplayKeys::key(&claim.team, &claim.key);
            let (id, print) = (claim.id.to_string(), claim.fingerprint.to_string());
            let keep = millis(self.keeping.retention.max(ttl));
            let arguments = [id.as_bytes(), print.as_bytes(), &keep];
            let reply = self.step(&claim.team, SENT, &[&key], &arguments).await?;
            Ok(reply.word == b"sent")
        }
        .boxed()
    }

    fn mark_lost<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), Outage>> {
        async move {
            let (key, id) = (ReplayKeys::key(&claim.team, &claim.key), claim.id.to_string());
            self.step(&claim.team, MARK_LOST, &[&key], &[id.as_bytes()]).await.map(drop)
        }
        .boxed()
    }

    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        kept: &'a StoredResponse,
    ) -> BoxFuture<'a, Result<(), Outage>> {
        async move {
            let key = ReplayKeys::key(&claim.team, &claim.key);
            let call = ReplayKeys::call(&claim.team, claim.id);
            let carried = ReplayKeys::calls(&claim.team, &claim.request_id);
            let (id, print, head) =
                (claim.id.to_string(), claim.fingerprint.to_string(), kept.head());
            let (body, [keep, most, listed]) =
                (kept.body.as_deref().unwrap_or_default(), self.bounds());
            let arguments = [id.as_bytes(), print.as_bytes(), &head, body, &keep, &most, &listed];
            self.step(&claim.team, FINISH, &[&key, &call, &carried], &arguments).await.map(drop)
        }
        .boxed()
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), Outage>> {
        async move {
            let (key, id) = (ReplayKeys::key(&claim.team, &claim.key), claim.id.to_string());
            self.step(&claim.team, RELEASE, &[&key], &[id.as_bytes()]).await.map(drop)
        }
        .boxed()
    }

    fn keep<'a>(
        &'a self,
        team: &'a TeamId,
        kept: &'a StoredResponse,
    ) -> BoxFuture<'a, Result<(), Outage>> {
        async move {
            let Some(id) = kept.call.as_ref().map(|call| call.id) else { return Ok(()) };
            let (call, carried) =
                (ReplayKeys::call(team, id), ReplayKeys::calls(team, &kept.request_id));
            let (id, head, [keep, most, listed]) = (id.to_string(), kept.head(), self.bounds());
            let body = kept.body.as_deref().unwrap_or_default();
            let arguments = [id.as_bytes(), &head, body, &keep, &most, &listed];
            self.step(team, KEEP, &[&call, &carried], &arguments).await.map(drop)
        }
        .boxed()
    }

    fn list<'a>(
        &'a self,
        team: &'a TeamId,
        of: Option<&'a RequestId>,
    ) -> BoxFuture<'a, Result<Vec<Summary>, Outage>> {
        async move {
            let set = of.map_or_else(
                || ReplayKeys::of(team).kept,
                |carried| ReplayKeys::calls(team, carried),
            );
            let most = LISTED_MAX.to_string();
            let mut listed = self.step(team, LIST, &[&set], &[most.as_bytes()]).await?.listed()?;
            listed.sort_by_key(|summary| std::cmp::Reverse(summary.call.id));
            Ok(listed)
        }
        .boxed()
    }

    fn fetch<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<Option<StoredResponse>, Outage>> {
        async move {
            let key = ReplayKeys::call(team, id);
            let reply = self.step(team, FETCH, &[&key], &[]).await?;
            match reply.word.as_slice() {
                b"none" => Ok(None),
                b"kept" => reply.kept().map(Some),
                _ => Err(unreadable(CALL)),
            }
        }
        .boxed()
    }
}
