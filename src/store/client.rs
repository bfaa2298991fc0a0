//! The client of Redis: within the deadline, while the store answers, and once more where a connection proves broken.
//! Each user of the store has one of its own, with a connection of its own.

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

/// A connection to the store, and what is known of the store.
pub(crate) struct Client {
    pub(crate) settings: Settings,
    exchanges: Exchanges,
    breakers: Arc<Breakers>,
    clock: Clock,
    /// How far the server's clock is ahead of ours, in microseconds, as of the last answer: the way back took some
    /// time, so what is made of it is never ahead of the server.
    ahead: AtomicI64,
}

impl Client {
    /// A client whose connection is made when it is needed.
    ///
    /// # Errors
    /// When the settings cannot be meant.
    pub(crate) fn new(settings: Settings, clock: Clock, observer: Arc<dyn Observer>) -> Result<Self, UnusableSettings> {
        let breakers = Arc::new(Breakers::new(&settings.topology, observer));
        Self::with(settings, clock, breakers)
    }

    /// Another one to the same store, with a connection of its own: whether the store answers they find out together.
    ///
    /// # Errors
    /// As for the first.
    pub(crate) fn another(&self, clock: Clock) -> Result<Self, UnusableSettings> {
        Self::with(self.settings.clone(), clock, Arc::clone(&self.breakers))
    }

    fn with(settings: Settings, clock: Clock, breakers: Arc<Breakers>) -> Result<Self, UnusableSettings> {
        let exchanges = Exchanges::new(Dialer::new(&settings)?, DIAL_TIMEOUT, settings.deadline);
        Ok(Self { settings, exchanges, breakers, clock, ahead: AtomicI64::new(0) })
    }

    /// The same, but that it gives up an attempt to connect after this long.
    pub(crate) fn dialling_within(mut self, timeout: Duration) -> Result<Self, UnusableSettings> {
        self.exchanges = Exchanges::new(Dialer::new(&self.settings)?, timeout, self.settings.deadline);
        Ok(self)
    }

    /// The breaker of the server that has a team, or the one of all.
    pub(crate) fn breaker(&self, team: Option<&TeamId>) -> Arc<Breaker> {
        self.breakers.of(team)
    }

    /// The connection and its number, if it leads to one server.
    pub(crate) async fn to_one_server(&self) -> Result<Option<(u64, Link)>, Outage> {
        let (number, link) = self.exchanges.link().await?;
        Ok(link.is_to_one_server().then_some((number, link)))
    }

    /// Does something with the connection, unless the breaker is open. It must be safe to repeat: it is done once more
    /// where the connection proves broken. `key` is one that it names.
    pub(crate) async fn on_link<T, F: Future<Output = Result<T, RedisError>>>(
        &self,
        team: Option<&TeamId>,
        key: &str,
        doing: impl Fn(Link) -> F,
    ) -> Result<T, Outage> {
        self.breaker(team).enter()?;
        self.go_on(team, key, doing).await
    }

    /// The same for whoever has asked the breaker already.
    pub(crate) async fn go_on<T, F: Future<Output = Result<T, RedisError>>>(
        &self,
        team: Option<&TeamId>,
        key: &str,
        doing: impl Fn(Link) -> F,
    ) -> Result<T, Outage> {
        let result = self.exchanges.run(key, doing).await;
        let breaker = self.breaker(team);
        match &result {
            Ok(_) => breaker.succeeded(),
            Err(outage) => breaker.failed(outage),
        }
        result
    }

    /// Runs one command that names this key, likewise.
    pub(crate) async fn run(&self, team: Option<&TeamId>, key: &str, command: &Cmd) -> Result<Value, Outage> {
        self.on_link(team, key, |mut link| async move { link.run(command).await }).await
    }

    /// The time that is sent in place of the server's, in microseconds; only tests give one.
    pub(crate) fn fixed_now(&self) -> Option<u64> {
        match &self.settings.clock {
            StoreClock::Server => None,
            StoreClock::Fixed(clock) => u64::try_from(clock.now().as_microsecond()).ok(),
        }
    }

    /// The store's time, as far as we know, in microseconds of Unix time.
    pub(crate) fn store_micros(&self) -> i64 {
        match &self.settings.clock {
            StoreClock::Server => self.clock.now().as_microsecond().saturating_add(self.ahead.load(Ordering::Relaxed)),
            StoreClock::Fixed(clock) => clock.now().as_microsecond(),
        }
    }

    /// The same as a moment.
    pub(crate) fn store_now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.store_micros()).unwrap_or(Timestamp::MAX)
    }

    /// Notes what time an answer says it is at the store, in microseconds of Unix time.
    pub(crate) fn learn(&self, at: i64) {
        self.ahead.store(at.saturating_sub(self.clock.now().as_microsecond()), Ordering::Relaxed);
    }
}

/// How many replicas are to have what is written under a key, and how long they may take.
pub(crate) struct Replicas<'a> {
    pub(crate) key: &'a str,
    pub(crate) wanted: u32,
    pub(crate) patience: Duration,
}

/// Runs a script by its fingerprint. A server that does not know it (it was restarted, or its scripts were flushed) is
/// sent the text. `call` makes the command out of `EVALSHA` or `EVAL` and what names the script. Says as well how many
/// replicas have what it wrote, where that is asked.
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

async fn send(link: &mut Link, call: &Cmd, replicas: Option<&Replicas<'_>>) -> Result<(Value, u32), RedisError> {
    match replicas {
        None => link.run(call).await.map(|value| (value, 0)),
        Some(Replicas { key, wanted, patience }) => link.run_and_wait(call, key, *wanted, *patience).await,
    }
}

/// The breakers of one store: of a cluster a part may be away, so each team has its own there.
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
        let (Some(team), Some(of_teams)) = (team, &self.of_teams) else { return Arc::clone(&self.of_all) };
        let mut of_teams = of_teams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = of_teams.get(team) {
            return Arc::clone(breaker);
        }
        let breaker = Arc::new(Breaker::new(Arc::clone(&self.observer)));
        of_teams.insert(team.clone(), Arc::clone(&breaker));
        breaker
    }
}
