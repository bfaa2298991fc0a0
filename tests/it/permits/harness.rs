//! What a case works with: the shared account, its clock, and calls that ask for permits.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moongate::clock::Clock;
use moongate::permits::{
    AccountLimits, Allowance, Ask, KeyName, KeyReport, Operation, PermitId, Permits, QueuePosition,
    Remaining,
};
use moongate::team::TeamId;

/// When cases begin: not at the edge of any window.
pub(crate) const NOON: &str = "2026-11-22T12:00:00Z";
/// A minute, until the next window opens.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A store under test: a fresh one, and handles to it.
pub(crate) trait Bench: Send + Sync + 'static {
    /// An empty store that tells the time by `clock`.
    fn start(clock: Clock) -> impl Future<Output = Self> + Send;
    /// Another handle on the same state, as another worker or replica holds one.
    fn handle(&self) -> Arc<dyn Permits>;
}

/// A moment from its text.
pub(crate) fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A minute of so many calls.
pub(crate) fn per_minute(calls: u64) -> Allowance {
    Allowance { per_minute: Some(calls), ..Allowance::default() }
}

/// A day of so many calls.
pub(crate) fn per_day(calls: u64) -> Allowance {
    Allowance { per_day: Some(calls), ..Allowance::default() }
}

/// A month of so many calls.
pub(crate) fn per_month(calls: u64) -> Allowance {
    Allowance { per_month: Some(calls), ..Allowance::default() }
}

/// A call of a team of weight 1 that may use the key `a`.
pub(crate) fn call(team: &str) -> Ask {
    Ask {
        id: PermitId::new(),
        team: TeamId::parse(team).unwrap(),
        weight: 1,
        keys: keys(&["a"]),
        turned_back: false,
    }
}

/// Names of keys.
pub(crate) fn keys(names: &[&str]) -> Arc<[KeyName]> {
    names.iter().map(|name| KeyName::from(*name)).collect()
}

/// A replica at the shared account.
#[derive(Clone)]
pub(crate) struct Replica {
    pub(crate) permits: Arc<dyn Permits>,
    pub(crate) clock: Clock,
    pub(crate) limits: AccountLimits,
}

impl Replica {
    /// A fresh account with the keys `a` and `b` and no limits, and its bench.
    pub(crate) async fn open<B: Bench>() -> (Self, B) {
        let clock = Clock::moved(moment(NOON));
        let bench = B::start(clock.clone()).await;
        (Self::over(bench.handle(), clock), bench)
    }

    /// The same over a handle.
    pub(crate) fn over(permits: Arc<dyn Permits>, clock: Clock) -> Self {
        let free = |name: &str| (KeyName::from(name), Allowance::default());
        let limits = AccountLimits {
            account: Allowance::default(),
            keys: vec![free("a"), free("b")],
            length_max: 1000,
            team_length_max: 1000,
        };
        Self { permits, clock, limits }
    }

    /// Sets limits of the whole account.
    pub(crate) fn limit(mut self, account: Allowance) -> Self {
        self.limits.account = account;
        self
    }

    /// Sets limits of one key.
    pub(crate) fn limit_key(mut self, name: &str, allowance: Allowance) -> Self {
        let key = self.limits.keys.iter_mut().find(|(known, _)| &**known == name);
        key.unwrap().1 = allowance;
        self
    }

    /// Another replica at the same account.
    pub(crate) fn beside<B: Bench>(&self, bench: &B) -> Self {
        Self { permits: bench.handle(), ..self.clone() }
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.clock.set(self.clock.now() + time);
    }

    /// Sends operations as one batch.
    pub(crate) async fn send(&self, operations: &[Operation]) -> Vec<QueuePosition> {
        let answer = self.permits.batch(&self.limits, operations).await.unwrap();
        assert_eq!(answer.at, self.clock.now());
        answer.positions
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> QueuePosition {
        self.send(&[Operation::Ask(ask.clone())]).await.remove(0)
    }

    /// Asks for several calls in one batch.
    pub(crate) async fn ask_all(&self, asks: &[Ask]) -> Vec<QueuePosition> {
        self.send(&asks.iter().cloned().map(Operation::Ask).collect::<Vec<_>>()).await
    }

    pub(crate) async fn wait(&self, ask: &Ask) -> QueuePosition {
        self.send(&[Operation::Wait(ask.id)]).await.remove(0)
    }

    pub(crate) async fn leave(&self, ask: &Ask) {
        self.send(&[Operation::Leave(ask.id)]).await;
    }

    /// The upstream reports what is left of a key's window.
    pub(crate) async fn report(&self, key: &str, remaining: u64, reset_at: Timestamp) {
        self.send(&[Operation::Report(KeyReport { key: key.into(), remaining, reset_at })]).await;
    }

    /// The calls among these that have a permit by now.
    pub(crate) async fn passed<'a>(&self, asks: &'a [Ask]) -> Vec<&'a Ask> {
        let positions =
            self.send(&asks.iter().map(|ask| Operation::Wait(ask.id)).collect::<Vec<_>>()).await;
        asks.iter()
            .zip(positions)
            .filter(|(_, position)| is_granted(position))
            .map(|(ask, _)| ask)
            .collect()
    }

    /// How many calls of this kind pass now.
    pub(crate) async fn room(&self, ask: impl Fn() -> Ask) -> u64 {
        let mut asks = Vec::new();
        loop {
            let ask = ask();
            let granted = is_granted(&self.ask(&ask).await);
            asks.push(ask);
            if !granted {
                break;
            }
        }
        for ask in &asks {
            self.leave(ask).await;
        }
        asks.len() as u64 - 1
    }

    /// What is left in every window that has a limit.
    pub(crate) async fn remaining(&self) -> Vec<Remaining> {
        self.permits.batch(&self.limits, &[]).await.unwrap().remaining
    }
}

/// Whether a call passed.
pub(crate) fn is_granted(position: &QueuePosition) -> bool {
    matches!(position, QueuePosition::Granted { .. })
}

/// The key a call passed with.
pub(crate) fn key_of(position: &QueuePosition) -> &str {
    match position {
        QueuePosition::Granted { key, .. } => key,
        QueuePosition::Waiting { .. } | QueuePosition::Full | QueuePosition::Gone => {
            panic!("not granted: {position:?}")
        }
    }
}

/// When there may be room for a waiting call.
pub(crate) fn opens_at(position: &QueuePosition) -> Timestamp {
    match position {
        QueuePosition::Waiting { opens_at, .. } => *opens_at,
        QueuePosition::Granted { .. } | QueuePosition::Full | QueuePosition::Gone => {
            panic!("not waiting: {position:?}")
        }
    }
}
