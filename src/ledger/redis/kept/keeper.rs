//! Redis as keeper: one script compares and writes, on the connection of one handle.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use redis::{Cmd, ErrorKind, RedisError, Script, ServerErrorKind, Value};

use super::super::breaker::Breaker;
use super::super::dial::Dialer;
use super::super::exchange::{DIAL_TIMEOUT, Exchanges};
use super::super::link::Link;
use super::super::settings::{Settings, StoreClock, UnusableSettings};
use super::decode;
use super::encode;
use super::keys::Keys;
use super::trust;
use super::words::Words;
use crate::clock::Clock;
use crate::ledger::OnLoss;
use crate::ledger::Outage;
use crate::ledger::keeper::{Belief, Keeper, KeeperTime, LossRules, Reply, Step};
use crate::team::TeamId;

/// The script that compares and writes.
const TEXT: &str = include_str!("keeper.lua");

/// How long others let a process go first that was refused twice in a row: more than it takes to read, to work a batch out and
/// to write.
const TURN_MICROS: u32 = 3_000;
/// How long, beside a heart-beat, those who are alive may take to speak again after the store was away.
const SETTLE_DOWN: Duration = Duration::from_secs(1);
/// How long one waits that lets another go first.
const PAUSE: Duration = Duration::from_micros(200);

/// Redis, as one handle reaches it.
pub(super) struct RedisKeeper {
    pub(super) settings: Settings,
    exchanges: Exchanges,
    breaker: Arc<Breaker>,
    script: Script,
    /// Names this process among those that take turns.
    process: String,
    clock: Clock,
    /// How far the server's clock is ahead of ours, in microseconds, as of the last answer: the way back took some time, so
    /// what is made of it is never ahead of the server.
    ahead: AtomicI64,
    pub(super) trust: trust::Trust,
}

/// How many replicas must have what is written, and how long they may take.
struct Replicas {
    wanted: u32,
    patience: Duration,
}

impl RedisKeeper {
    pub(super) fn new(
        settings: Settings,
        process: &str,
        clock: Clock,
        (breaker, told_held): (Arc<Breaker>, Arc<AtomicBool>),
    ) -> Result<Self, UnusableSettings> {
        Ok(Self {
            exchanges: Exchanges::new(Dialer::new(&settings)?, DIAL_TIMEOUT, settings.deadline),
            settings,
            breaker,
            script: Script::new(TEXT),
            process: process.to_owned(),
            clock,
            ahead: AtomicI64::new(0),
            trust: trust::Trust::new(told_held),
        })
    }

    /// What is done about losses.
    pub(super) fn loss_rules(&self) -> LossRules {
        LossRules { gather: self.settings.gather(), hold: self.settings.on_loss == OnLoss::Hold }
    }

    /// The connection and its number, if it leads to one server.
    pub(super) async fn to_one_server(&self) -> Result<Option<(u64, Link)>, Outage> {
        let (number, link) = self.exchanges.link().await?;
        Ok(link.is_to_one_server().then_some((number, link)))
    }

    /// The number of the connection, if it leads to one server.
    pub(super) async fn server(&self) -> Result<Option<u64>, Outage> {
        Ok(self.to_one_server().await?.map(|(number, _)| number))
    }

    /// The breaker of this process.
    pub(super) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// The time that is sent in place of the server's, in microseconds; only tests give one.
    pub(super) fn fixed_now(&self) -> i64 {
        match &self.settings.clock {
            StoreClock::Server => 0,
            StoreClock::Fixed(clock) => clock.now().as_microsecond(),
        }
    }

    /// Does something with the connection, within the deadline, for whoever has asked the breaker. It must be safe to repeat: it
    /// is done once more where the connection proves broken. `key` is one that it names.
    pub(super) async fn on_link<V, F: Future<Output = Result<V, RedisError>>>(
        &self,
        key: &str,
        doing: impl Fn(Link) -> F,
    ) -> Result<V, Outage> {
        let result = self.exchanges.run(key, doing).await;
        match &result {
            Ok(_) => self.breaker.succeeded(),
            Err(outage) => self.breaker.failed(outage),
        }
        result
    }

    /// Runs one command that names this key, likewise.
    pub(super) async fn run(&self, key: &str, command: &Cmd) -> Result<Value, Outage> {
        self.on_link(key, |mut link| async move { link.run(command).await }).await
    }

    /// Reads with one command that names this key, unless the breaker is open.
    pub(super) async fn read(&self, key: &str, command: &Cmd) -> Result<Value, Outage> {
        self.breaker.enter()?;
        self.run(key, command).await
    }

    fn call(&self, command: &str, script: &str, keys: &Keys, step: &Step, words: &Words) -> Cmd {
        let mut call = Cmd::with_capacity(64, script.len() + words.bytes() + 256);
        call.arg(command).arg(script).arg(1).arg(&keys.state).arg(encode::expected(step));
        call.arg(step.from).arg(step.until).arg(self.fixed_now());
        call.arg(self.process.as_str()).arg(if step.wants_turn { TURN_MICROS } else { 0 });
        words.give_to(&mut call);
        call
    }

    fn replicas(&self, step: &Step) -> Option<Replicas> {
        let wanted = self.settings.wait_replicas;
        let admits = !step.changes.opened.is_empty();
        // Twice that, when the script has to be sent in full, is still within the deadline.
        (wanted > 0 && admits).then(|| Replicas { wanted, patience: self.settings.deadline / 3 })
    }

    /// Runs the script. A server that does not know it (it was restarted, or its scripts were flushed) is sent the text.
    async fn apply(&self, link: &mut Link, keys: &Keys, step: &Step) -> Result<(Value, u32), RedisError> {
        let words = encode::words(step, keys, &self.settings.retention, self.trust.voucher);
        let replicas = self.replicas(step);
        let known = self.call("EVALSHA", self.script.get_hash(), keys, step, &words);
        match send(link, &known, keys, replicas.as_ref()).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                send(link, &self.call("EVAL", TEXT, keys, step, &words), keys, replicas.as_ref()).await
            }
            answered => answered,
        }
    }
}

async fn send(
    link: &mut Link,
    call: &Cmd,
    keys: &Keys,
    replicas: Option<&Replicas>,
) -> Result<(Value, u32), RedisError> {
    match replicas {
        None => link.run(call).await.map(|value| (value, 0)),
        Some(Replicas { wanted, patience }) => link.run_and_wait(call, &keys.state, *wanted, *patience).await,
    }
}

impl Keeper for RedisKeeper {
    async fn step(&self, team: &TeamId, step: &Step) -> Result<Reply, Outage> {
        let keys = &Keys::of(team);
        let (value, have) =
            self.on_link(&keys.state, |mut link| async move { self.apply(&mut link, keys, step).await }).await?;
        let reply = decode::reply(step, value)?;
        trust::introduce(self).await?;
        let too_few = self.replicas(step).filter(|replicas| have < replicas.wanted);
        let void = too_few
            .map(|replicas| Outage::Refused(format!("{have} of {} replicas have the reservation", replicas.wanted)));
        Ok(Reply { void, ..reply })
    }

    async fn let_another_go_first(&self) {
        tokio::time::sleep(PAUSE).await;
    }

    async fn trust(&self, team: &TeamId, accepts: bool) -> Result<Belief, Outage> {
        trust::trust(self, team, accepts).await
    }

    async fn is_doubted(&self, team: &TeamId) {
        trust::doubt(self, team).await;
    }

    async fn may_be_made(&self, team: &TeamId, accepts: bool) -> Result<bool, Outage> {
        trust::may_be_made(self, team, accepts).await
    }

    fn is_settled(&self) -> bool {
        self.breaker.is_settled(self.settings.reservation_ttl / 3 + SETTLE_DOWN)
    }

    async fn made(&self, team: &TeamId) {
        trust::made(self, team).await;
    }
}

impl KeeperTime for RedisKeeper {
    fn now(&self) -> i64 {
        match &self.settings.clock {
            StoreClock::Server => self.clock.now().as_microsecond().saturating_add(self.ahead.load(Ordering::Relaxed)),
            StoreClock::Fixed(clock) => clock.now().as_microsecond(),
        }
    }

    fn learn(&self, at: i64) {
        self.ahead.store(at.saturating_sub(self.clock.now().as_microsecond()), Ordering::Relaxed);
    }
}
