//! Redis client: bounds every operation by a deadline, fails fast while the store is down, and
//! retries once when a connection proves broken. Each user of the store has a client and a
//! connection of its own.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use redis::{Cmd, ErrorKind, RedisError, Script, ServerErrorKind, Value};

use super::breaker::Breaker;
use super::dial::Dialer;
use super::exchange::{DIAL_TIMEOUT, Exchanges};
use super::link::Link;
use super::settings::{Settings, StoreClock, Topology, UnusableSettings};
use super::{Observer, Outage};
use crate::clock::Clock;
use crate::team::TeamId;

/// A connection to the store, with its breaker and clock.
pub(crate) struct Client {
    pub(crate) settings: Settings,
    exchanges: Exchanges,
    breakers: Arc<Breakers>,
    clock: Clock,
    /// How far the server's clock is ahead of ours, in microseconds, at the last answer. The answer
    /// took time to arrive, so the time derived from it is never ahead of the server's.
    ahead: AtomicI64,
}

impl Client {
    /// A client that connects on first use.
    ///
    /// # Errors
    /// The settings make no sense.
    pub(crate) fn new(
        settings: Settings,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, UnusableSettings> {
        let breakers = Arc::new(Breakers::new(&settings.topology, observer));
        Self::with(settings, clock, breakers)
    }

    /// Another client of the same store, with its own connection. They share the breaker.
    ///
    /// # Errors
    /// As for [`Client::new`].
    pub(crate) fn another(&self, clock: Clock) -> Result<Self, UnusableSettings> {
        Self::with(self.settings.clone(), clock, Arc::clone(&self.breakers))
    }

    fn with(
        settings: Settings,
        clock: Clock,
        breakers: Arc<Breakers>,
    ) -> Result<Self, UnusableSettings> {
        let exchanges = Exchanges::new(Dialer::new(&settings)?, DIAL_TIMEOUT, settings.deadline);
        Ok(Self { settings, exchanges, breakers, clock, ahead: AtomicI64::new(0) })
    }

    /// Gives up an attempt to connect after this long.
    pub(crate) fn dialling_within(mut self, timeout: Duration) -> Result<Self, UnusableSettings> {
        self.exchanges =
            Exchanges::new(Dialer::new(&self.settings)?, timeout, self.settings.deadline);
        Ok(self)
    }

    /// The breaker of the server that holds a team's data, or the common one.
    pub(crate) fn breaker(&self, team: Option<&TeamId>) -> Arc<Breaker> {
        self.breakers.of(team)
    }

    /// The connection and its number, if it leads to one server.
    pub(crate) async fn to_one_server(&self) -> Result<Option<(u64, Link)>, Outage> {
        let (number, link) = self.exchanges.link().await?;
        Ok(link.is_to_one_server().then_some((number, link)))
    }

    /// Runs something on the connection, unless the breaker is open. It must be safe to repeat: it
    /// is retried once when the connection proves broken. `key` is a key that it uses.
    pub(crate) async fn on_link<T, F: Future<Output = Result<T, RedisError>>>(
        &self,
        team: Option<&TeamId>,
        key: &str,
        doing: impl Fn(Link) -> F,
    ) -> Result<T, Outage> {
        self.breaker(team).enter()?;
        self.go_on(team, key, doing).await
    }

    /// Does what [`Client::on_link`] does, for a caller that has passed the breaker.
    pub(crate) async fn go_on<T, F: Future<Output = Result<T, RedisError>>>(
        &self,
        team: Option<&TeamId>,
        key: &str,
        doing: impl Fn(Link) -> F,
    ) -> Result<T, Outage> {
        let breaker = self.breaker(team);
        let answers = breaker.answers();
        let result = self.exchanges.run(key, doing).await;
        match &result {
            Ok(_) => breaker.succeeded(),
            Err(outage) => breaker.failed(outage, answers),
        }
        result
    }

    /// Runs one command that uses this key.
    pub(crate) async fn run(
        &self,
        team: Option<&TeamId>,
        key: &str,
        command: &Cmd,
    ) -> Result<Value, Outage> {
        self.on_link(team, key, |mut link| async move { link.run(command).await }).await
    }

    /// Time sent in place of the server's, in microseconds. Only tests set one.
    pub(crate) fn fixed_now(&self) -> Option<u64> {
        match &self.settings.clock {
            StoreClock::Server => None,
            StoreClock::Fixed(clock) => u64::try_from(clock.now().as_microsecond()).ok(),
        }
    }

    /// The store's time as we estimate it, in microseconds of Unix time.
    pub(crate) fn store_micros(&self) -> i64 {
        match &self.settings.clock {
            StoreClock::Server => {
                self.clock.now().as_microsecond().saturating_add(self.ahead.load(Ordering::Relaxed))
            }
            StoreClock::Fixed(clock) => clock.now().as_microsecond(),
        }
    }

    /// The store's time as we estimate it.
    pub(crate) fn store_now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.store_micros()).unwrap_or(Timestamp::MAX)
    }

    /// Updates the estimate from the store's time in an answer, in microseconds of Unix time.
    pub(crate) fn learn(&self, at: i64) {
        self.ahead.store(at.saturating_sub(self.clock.now().as_microsecond()), Ordering::Relaxed);
    }
}

/// How many replicas must have what is written under a key, and how long they may take.
pub(crate) struct Replicas<'a> {
    pub(crate) key: &'a str,
    pub(crate) count: u32,
    pub(crate) patience: Duration,
}

/// Runs a script by its hash, or by its text where the server does not know it, after a restart or
/// a flush of its scripts. `call` makes the command of `EVALSHA` or `EVAL` and the hash or text.
/// Also returns how many replicas have what it wrote, if `replicas` asks for that.
pub(crate) async fn run_script(
    link: &mut Link,
    (script, text): (&Script, &str),
    call: impl Fn(&str, &str) -> Cmd,
    replicas: Option<&Replicas<'_>>,
) -> Result<(Value, u32), RedisError> {
    match send(link, &call("EVALSHA", script.get_hash()), replicas).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            send(link, &call("EVAL", text), replicas).await
        }
        answered => answered,
    }
}

async fn send(
    link: &mut Link,
    call: &Cmd,
    replicas: Option<&Replicas<'_>>,
) -> Result<(Value, u32), RedisError> {
    match replicas {
        None => link.run(call).await.map(|value| (value, 0)),
        Some(Replicas { key, count, patience }) => {
            link.run_and_wait(call, key, *count, *patience).await
        }
    }
}

/// Breakers of one store. A part of a cluster may be down, so there each team has its own.
struct Breakers {
    of_all: Arc<Breaker>,
    of_teams: Option<Mutex<HashMap<TeamId, Arc<Breaker>>>>,
    observer: Arc<dyn Observer>,
}

impl Breakers {
    fn new(topology: &Topology, observer: Arc<dyn Observer>) -> Self {
        let of_teams = match topology {
            Topology::Single { .. } | Topology::Sentinel { .. } => None,
            Topology::Cluster { .. } => Some(Mutex::default()),
        };
        Self { of_all: Arc::new(Breaker::new(Arc::clone(&observer))), of_teams, observer }
    }

    fn of(&self, team: Option<&TeamId>) -> Arc<Breaker> {
        let (Some(team), Some(of_teams)) = (team, &self.of_teams) else {
            return Arc::clone(&self.of_all);
        };
        let mut of_teams = of_teams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = of_teams.get(team) {
            return Arc::clone(breaker);
        }
        let breaker = Arc::new(Breaker::new(Arc::clone(&self.observer)));
        of_teams.insert(team.clone(), Arc::clone(&breaker));
        breaker
    }
}
