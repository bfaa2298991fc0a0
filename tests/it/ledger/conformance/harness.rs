//! What a case works with: a ledger, its clock, and calls to admit and settle.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use moongate::clock::Clock;
use moongate::credits::Credits;
use moongate::ledger::{
    Admission, BudgetSnapshot, CallResult, CallSummary, Ledger, Level, LimitStatus, OnUnknown,
    Outcome, Phase, ReservationId, Row, Scope, Settled, Settlement, SnapshotQuery, Swept, Usage,
    Verdict,
};
use moongate::team::{KeyId, Limit, LimitKind, Limits, TeamId, UserId};

use super::{Bench, Watch};

/// Where cases begin, unless they say otherwise.
pub(crate) const MORNING: &str = "2026-11-22T10:00:00Z";
/// What a call costs, unless it says otherwise: a tenth of a credit.
pub(crate) const PRICE: u64 = 100_000;

/// A moment from its text.
pub(crate) fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A limit that refuses.
pub(crate) fn limit(kind: LimitKind, max: u64) -> Limit {
    Limit::new(kind, max)
}

/// A limit that only reports.
pub(crate) fn shadow(kind: LimitKind, max: u64) -> Limit {
    Limit { shadow: true, ..Limit::new(kind, max) }
}

/// An amount of millionths.
pub(crate) const fn credits(micros: u64) -> Credits {
    Credits::from_micros(micros)
}

/// A call to admit: of whom, under which limits, at what price.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) team: TeamId,
    pub(crate) levels: Vec<Level>,
    pub(crate) zone: TimeZone,
    pub(crate) price: Credits,
    pub(crate) phase: Phase,
    pub(crate) model: &'static str,
}

/// A dispatched call of user `ana` of team `design`, without limits.
pub(crate) fn call() -> Call {
    let none = Arc::new(Limits::default());
    let levels = vec![
        Level { scope: Scope::Team, limits: Arc::clone(&none) },
        Level { scope: user("ana"), limits: none },
    ];
    let team = TeamId::parse("design").unwrap();
    Call {
        team,
        levels,
        zone: TimeZone::UTC,
        price: credits(PRICE),
        phase: Phase::Dispatched,
        model: "flux/dev",
    }
}

/// A user's level.
pub(crate) fn user(name: &str) -> Scope {
    Scope::User(UserId::parse(name).unwrap())
}

/// A gateway key's level.
pub(crate) fn key(id: &str) -> Scope {
    Scope::Key(KeyId::parse(id).unwrap())
}

impl Call {
    /// The same call by another team.
    pub(crate) fn team(mut self, name: &str) -> Self {
        self.team = TeamId::parse(name).unwrap();
        self
    }

    /// The same call by another user, with the user's limits.
    pub(crate) fn user(self, name: &str, limits: impl IntoIterator<Item = Limit>) -> Self {
        let mut call = self;
        call.levels.retain(|level| level.scope.level() != "user");
        call.level(user(name), limits)
    }

    /// The same call under limits at one more level, or with other limits at that level.
    pub(crate) fn level(mut self, scope: Scope, limits: impl IntoIterator<Item = Limit>) -> Self {
        let limits = Arc::new(Limits::new(limits));
        match self.levels.iter_mut().find(|level| level.scope == scope) {
            Some(level) => level.limits = limits,
            None => self.levels.push(Level { scope, limits }),
        }
        self
    }

    /// The same call under limits of the team.
    pub(crate) fn limits(self, limits: impl IntoIterator<Item = Limit>) -> Self {
        self.level(Scope::Team, limits)
    }

    /// The same call at another price, in millionths.
    pub(crate) fn price(mut self, micros: u64) -> Self {
        self.price = credits(micros);
        self
    }

    /// The same call, not yet sent.
    pub(crate) fn waiting(mut self) -> Self {
        self.phase = Phase::Waiting;
        self
    }

    /// The same call of another model.
    pub(crate) fn model(mut self, model: &'static str) -> Self {
        self.model = model;
        self
    }

    /// The same call by a team in another time zone.
    pub(crate) fn zone(mut self, name: &str) -> Self {
        self.zone = TimeZone::get(name).unwrap();
        self
    }

    /// The admission of this call under an id.
    pub(crate) fn admission(&self, id: ReservationId) -> Admission {
        Admission {
            id,
            team: self.team.clone(),
            levels: self.levels.clone(),
            time_zone: self.zone.clone(),
            price: self.price,
            phase: self.phase,
            summary: self.summary(),
        }
    }

    /// The summary in the call's row.
    pub(crate) fn summary(&self) -> Arc<CallSummary> {
        let scoped = |level: &str| self.levels.iter().find(|l| l.scope.level() == level);
        let user = scoped("user").map_or_else(String::new, |level| match &level.scope {
            Scope::User(user) => user.to_string(),
            Scope::Team | Scope::Key(_) | Scope::Account(_) => String::new(),
        });
        Arc::new(CallSummary {
            request_id: "r-1".into(),
            user,
            credential: "k7Qp2mZr9aBc".into(),
            model: self.model.into(),
            ..CallSummary::default()
        })
    }
}

/// A fresh ledger with its clock and observer.
pub(crate) struct Fixture<B> {
    pub(crate) bench: B,
    pub(crate) clock: Clock,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) watch: Arc<Watch>,
}

impl<B: Bench> Fixture<B> {
    /// An empty ledger in the morning, where a call of unknown end is charged.
    pub(crate) async fn open() -> Self {
        Self::open_at(MORNING).await
    }

    /// An empty ledger at another time.
    pub(crate) async fn open_at(time: &str) -> Self {
        Self::open_with(time, OnUnknown::Charge).await
    }

    /// An empty ledger at a time, with what a call of unknown end is charged.
    pub(crate) async fn open_with(time: &str, on_unknown: OnUnknown) -> Self {
        let clock = Clock::moved(moment(time));
        let watch = Arc::<Watch>::default();
        let bench = B::start(clock.clone(), on_unknown, Arc::clone(&watch)).await;
        let ledger = bench.handle().await;
        Self { bench, clock, ledger, watch }
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.clock.set(self.clock.now() + time);
    }

    /// Sets the clock.
    pub(crate) fn set(&self, time: &str) {
        self.clock.set(moment(time));
    }

    /// Tries to make a call.
    pub(crate) async fn ask(&self, call: &Call) -> Verdict {
        self.ledger.admit(call.admission(ReservationId::new())).await.unwrap()
    }

    /// Makes a call that must be admitted.
    pub(crate) async fn admit(&self, call: &Call) -> ReservationId {
        let id = ReservationId::new();
        let verdict = self.ledger.admit(call.admission(id)).await.unwrap();
        assert!(matches!(verdict, Verdict::Admitted { .. }), "refused: {verdict:?}");
        id
    }

    /// Tries a call that must be refused.
    pub(crate) async fn refuse(&self, call: &Call) -> Refused {
        match self.ask(call).await {
            Verdict::Refused { statuses, binding, retry_at, at } => {
                assert_eq!(at, self.clock.now());
                Refused { binding: statuses[binding].clone(), statuses, retry_at }
            }
            Verdict::Admitted { statuses, .. } => panic!("admitted: {statuses:?}"),
        }
    }

    /// Ends a call.
    pub(crate) async fn settle(
        &self,
        call: &Call,
        id: ReservationId,
        outcome: Outcome,
        micros: u64,
    ) -> Settled {
        self.ledger.settle(&call.team, settlement(id, outcome, micros)).await.unwrap()
    }

    /// Makes a call and settles it at its full price.
    pub(crate) async fn pay(&self, call: &Call) {
        let id = self.admit(call).await;
        assert_eq!(
            self.settle(call, id, Outcome::Charged, call.price.micros()).await,
            Settled::Now(call.price)
        );
    }

    /// Makes a call so often, many at a time, and settles each at its full price.
    pub(crate) async fn pay_often(&self, times: u64) {
        let pays = (0..times).map(|_| async { self.pay(&call()).await });
        futures_util::future::join_all(pays).await;
    }

    /// The limit statuses of the call's levels.
    pub(crate) async fn snapshot(&self, call: &Call) -> BudgetSnapshot {
        let query = SnapshotQuery {
            team: call.team.clone(),
            levels: call.levels.clone(),
            time_zone: call.zone.clone(),
            reader: None,
        };
        self.ledger.snapshot(query).await.unwrap()
    }

    /// Used and reserved of one kind of limit of the team, whether or not the call has it.
    pub(crate) async fn counted(&self, call: &Call, kind: LimitKind) -> (u64, u64) {
        self.counted_at(call, Scope::Team, kind).await
    }

    /// The same at another level.
    pub(crate) async fn counted_at(
        &self,
        call: &Call,
        scope: Scope,
        kind: LimitKind,
    ) -> (u64, u64) {
        let mut call = call.clone();
        call.levels = vec![Level {
            scope,
            limits: Arc::new(Limits::new([limit(kind, Limit::REQUESTS_MAX)])),
        }];
        let status = &self.snapshot(&call).await.statuses[0];
        (status.used, status.reserved)
    }

    /// Ends a batch of the team's overdue reservations.
    pub(crate) async fn sweep(&self, call: &Call) -> Swept {
        self.ledger.sweep(&call.team).await.unwrap()
    }

    /// The team's usage of these days.
    pub(crate) async fn usage(&self, call: &Call, first: &str, last: &str) -> Vec<Usage> {
        self.ledger.usage(&call.team, first.parse().unwrap()..=last.parse().unwrap()).await.unwrap()
    }

    /// The team's rows.
    pub(crate) async fn rows(&self, call: &Call) -> Vec<Row> {
        self.ledger.rows(&call.team, 0, 10_000).await.unwrap().rows
    }
}

/// A refusal, with the status of the limit that refused.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) binding: LimitStatus,
    pub(crate) statuses: Vec<LimitStatus>,
    pub(crate) retry_at: Option<Timestamp>,
}

/// The end of a call.
pub(crate) fn settlement(id: ReservationId, outcome: Outcome, micros: u64) -> Settlement {
    let result = CallResult { status: 200, images: 1, upstream_ms: 1_200, ..CallResult::default() };
    Settlement { id, outcome, charged: credits(micros), result, keeps_slots: false }
}
