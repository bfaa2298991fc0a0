//! Random lives of a ledger, step by step beside the plain model: verdicts, statuses and rows
//! agree after each step. Promises 1, 2, 3, 4 and 6.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use moongate::calendar::Calendar;
use moongate::clock::Clock;
use moongate::credits::Credits;
use moongate::ledger::{
    Admission, Ledger, Level, OnUnknown, Outcome, Phase, ReservationId, Scope, Settlement,
    SnapshotQuery, TopUp, TopUpId, Verdict,
};
use moongate::team::limit::{Shape, Unit};
use moongate::team::{Limit, LimitKind, Limits, Share, TeamId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{Answer, Model};
use crate::ledger::conformance::harness::{call, credits, key, moment, settlement, user};
use crate::ledger::conformance::{Bench, TTL};

const ZONE: &str = "Europe/Berlin";
/// The evening before the clocks of the zone go back, and near the end of a month.
const START: &str = "2026-10-24T20:00:00Z";
const TEAMS: [&str; 2] = ["design", "design.2"];
const USERS: [&str; 3] = ["ana", "bo", "{a}:*"];
const KEYS: [&str; 2] = ["k7Qp2mZr9aBc", "k7Qp2mZr9aBd"];
const LIVES: u32 = 48;
const STEPS: usize = 70;

/// Something that happens to a ledger. `Index` picks one of the calls made so far, ended or not.
#[derive(Clone, Debug)]
enum Step {
    Admit {
        team: usize,
        user: usize,
        key: Option<usize>,
        price: u64,
        phase: Phase,
    },
    AdmitAgain(Index),
    Dispatch(Index),
    Recall(Index),
    /// Settles a call; the flag says whether its answer is still to be read.
    Settle(Index, Outcome, u64, bool),
    ReleaseSlots(Index),
    Renew(Vec<Index>),
    Pass(u64),
    /// Moves the clock to the end of the day or month, this many microseconds later or earlier.
    ToEdge {
        month: bool,
        micros: i64,
    },
    SetLimit {
        level: usize,
        kind: LimitKind,
        max: u64,
        burst: u64,
        shadow: bool,
    },
    DropLimit {
        level: usize,
        kind: LimitKind,
    },
    /// Tops up one of the teams' scopes, under one of a few ids.
    TopUp {
        team: usize,
        scope: Index,
        id: u8,
        micros: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = select([&[Outcome::Charged][..], &Outcome::ALL].concat());
    let pass = select(vec![
        1,
        999_999,
        1_000_000,
        7_777_777,
        14_999_999,
        15_000_000,
        30_000_000,
        3_600_000_000,
    ]);
    prop_oneof![
        12 => admit(),
        2 => any::<Index>().prop_map(Step::AdmitAgain),
        2 => any::<Index>().prop_map(Step::Dispatch),
        1 => any::<Index>().prop_map(Step::Recall),
        6 => (any::<Index>(), outcome, price(), prop::bool::weighted(0.3))
            .prop_map(|(which, end, micros, keeps)| Step::Settle(which, end, micros, keeps)),
        2 => any::<Index>().prop_map(Step::ReleaseSlots),
        2 => vec(any::<Index>(), 0..8).prop_map(Step::Renew),
        4 => pass.prop_map(Step::Pass),
        1 => (prop::bool::weighted(0.3), -1..=1_i64)
            .prop_map(|(month, micros)| Step::ToEdge { month, micros }),
        5 => set_limit(),
        2 => (0..3_usize, kind()).prop_map(|(level, kind)| Step::DropLimit { level, kind }),
        2 => top_up(),
    ]
}

fn price() -> impl Strategy<Value = u64> {
    select(vec![0, 1, 99_999, 100_000, 250_000])
}

fn kind() -> impl Strategy<Value = LimitKind> {
    select(LimitKind::ALL.to_vec())
}

fn admit() -> impl Strategy<Value = Step> {
    let team = select(vec![0, 0, 0, 1]);
    let phase = prop_oneof![Just(Phase::Waiting), Just(Phase::Dispatched)];
    let key = proptest::option::of(0..2_usize);
    (team, 0..3_usize, key, price(), phase)
        .prop_map(|(team, user, key, price, phase)| Step::Admit { team, user, key, price, phase })
}

fn set_limit() -> impl Strategy<Value = Step> {
    (0..3_usize, kind(), 0..7_u64, 1..5_u64, prop::bool::weighted(0.25)).prop_map(
        |(level, kind, max, burst, shadow)| Step::SetLimit { level, kind, max, burst, shadow },
    )
}

fn top_up() -> impl Strategy<Value = Step> {
    let micros = select(vec![1, 100_000, 100_000, Credits::MAX.micros()]);
    (0..2_usize, any::<Index>(), 0..6_u8, micros)
        .prop_map(|(team, scope, id, micros)| Step::TopUp { team, scope, id, micros })
}

/// Drives random lives of this store beside the model.
pub(crate) fn random_lives_match_the_plain_model<B: Bench>() {
    let config = ProptestConfig {
        cases: LIVES,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    proptest!(config, |(steps in vec(step(), STEPS / 2..STEPS), charge in any::<bool>())| {
        runtime.block_on(async {
            let on_unknown = if charge { OnUnknown::Charge } else { OnUnknown::Release };
            let mut life = Life::<B>::begin(on_unknown).await;
            for step in &steps {
                life.take(step).await;
                life.compare(step).await;
            }
        });
    });
}

struct Life<B> {
    clock: Clock,
    handles: [Arc<dyn Ledger>; 2],
    model: Model,
    zone: TimeZone,
    /// The limits of the team, of each user, of each key.
    limits: [Arc<Limits>; 3],
    made: Vec<Admission>,
    turns: usize,
    /// Kept, since the store may end with it.
    _bench: B,
}

impl<B: Bench> Life<B> {
    async fn begin(on_unknown: OnUnknown) -> Self {
        let clock = Clock::moved(moment(START));
        let bench = B::start(clock.clone(), on_unknown, Arc::default()).await;
        let handles = [bench.handle().await, bench.handle().await];
        let limits = [(); 3].map(|()| Arc::new(Limits::default()));
        let (model, zone) =
            (Model::new(TTL, on_unknown).forgetting(B::FORGETS), TimeZone::get(ZONE).unwrap());
        Self { clock, handles, model, zone, limits, made: Vec::new(), turns: 0, _bench: bench }
    }

    async fn take(&mut self, step: &Step) {
        self.turns += 1;
        let ledger = Arc::clone(&self.handles[self.turns % 2]);
        let now = self.clock.now();
        let made = |index: &Index| (!self.made.is_empty()).then(|| index.get(&self.made).clone());
        match step {
            Step::Admit { team, user, key, price, phase } => {
                let admission = self.admission(*team, *user, *key, *price, *phase);
                self.made.push(admission.clone());
                let expected = self.model.admit(&admission, now);
                let answer = answer_of(ledger.admit(admission).await.unwrap(), now);
                assert_within_limits(&answer, &expected);
                assert_eq!(answer, expected);
            }
            Step::AdmitAgain(which) => {
                let Some(admission) = made(which) else { return };
                if self.model.open_of(&admission.team).any(|call| call.admission.id == admission.id)
                {
                    let expected = self.model.admit(&admission, now);
                    assert_eq!(answer_of(ledger.admit(admission).await.unwrap(), now), expected);
                }
            }
            Step::Dispatch(which) => {
                let Some(Admission { team, id, .. }) = made(which) else { return };
                assert_eq!(
                    ledger.dispatch(&team, id).await.unwrap(),
                    self.model.dispatch(&team, id)
                );
            }
            Step::Recall(which) => {
                let Some(Admission { team, id, .. }) = made(which) else { return };
                assert_eq!(ledger.recall(&team, id).await.unwrap(), self.model.recall(&team, id));
            }
            Step::Settle(which, outcome, micros, keeps_slots) => {
                let Some(Admission { team, id, .. }) = made(which) else { return };
                let (charged, keeps_slots) = (credits(*micros), *keeps_slots);
                let end = Settlement { charged, keeps_slots, ..settlement(id, *outcome, 0) };
                let expected = self.model.settle(&team, &end, now);
                assert_eq!(ledger.settle(&team, end).await.unwrap(), expected);
            }
            Step::ReleaseSlots(which) => {
                let Some(Admission { team, id, .. }) = made(which) else { return };
                ledger.release_slots(&team, id).await.unwrap();
                self.model.release_slots(&team, id);
            }
            Step::Renew(which) => {
                let ids: Vec<ReservationId> =
                    which.iter().filter_map(made).map(|call| call.id).collect();
                for name in TEAMS {
                    let team = TeamId::parse(name).unwrap();
                    ledger.renew(&team, &ids).await.unwrap();
                    self.model.renew(&team, &ids, now);
                }
            }
            Step::TopUp { team, scope, id, micros } => {
                let (team, scope) =
                    (TeamId::parse(TEAMS[*team]).unwrap(), scope.get(&self.levels()).scope.clone());
                let id = TopUpId::parse(&id.to_string()).unwrap();
                let top_up = TopUp { id, scope, credits: credits(*micros) };
                let expected = self.model.top_up(&team, &top_up);
                assert_eq!(ledger.top_up(&team, top_up).await.unwrap(), expected);
            }
            Step::Pass(micros) => self.pass_until(now + Duration::from_micros(*micros)).await,
            Step::ToEdge { month, micros } => self.pass_to_edge(*month, *micros).await,
            Step::SetLimit { level, kind, max, burst, shadow } => {
                self.change_limit(*level, *kind, Some(self.scaled(*kind, *max, *burst, *shadow)));
            }
            Step::DropLimit { level, kind } => self.change_limit(*level, *kind, None),
        }
    }

    /// Replaces or removes a limit of a level.
    fn change_limit(&mut self, level: usize, kind: LimitKind, new: Option<Limit>) {
        let others = self.limits[level].iter().copied().filter(|limit| limit.kind != kind);
        self.limits[level] = Arc::new(Limits::new(others.chain(new)));
    }

    /// Lets time pass until close to the end of the day or month.
    async fn pass_to_edge(&mut self, month: bool, micros: i64) {
        let now = self.clock.now();
        let calendar = Calendar::around(now, &self.zone);
        let end = if month { calendar.month.end } else { calendar.day.end };
        let edge = Timestamp::from_microsecond(end.as_microsecond() + micros).unwrap();
        self.pass_until(edge.max(now)).await;
    }

    /// Lets time pass, and ends what is overdue then: when exactly an operation does so by the way
    /// is left to the store.
    async fn pass_until(&mut self, to: Timestamp) {
        self.clock.set(to);
        for (name, ledger) in TEAMS.iter().zip(&self.handles) {
            let team = TeamId::parse(name).unwrap();
            assert_eq!(ledger.sweep(&team).await.unwrap(), self.model.sweep(&team, to));
        }
    }

    /// The limit statuses of every level of every team, under its limits and under every kind of
    /// limit there is; and all rows.
    async fn compare(&self, after: &Step) {
        let ledger = &self.handles[(self.turns + 1) % 2];
        let now = self.clock.now();
        let every =
            Arc::new(Limits::new(LimitKind::ALL.map(|kind| Limit::new(kind, Limit::REQUESTS_MAX))));
        for name in TEAMS {
            let team = TeamId::parse(name).unwrap();
            let mut levels = self.levels();
            levels.extend(
                self.levels()
                    .into_iter()
                    .map(|level| Level { limits: Arc::clone(&every), ..level }),
            );
            let query = SnapshotQuery {
                team: team.clone(),
                levels,
                time_zone: self.zone.clone(),
                reader: None,
            };
            let snapshot = ledger.snapshot(query.clone()).await.unwrap();
            assert_eq!(snapshot.statuses, self.model.snapshot(&query, now), "after {after:?}");
            assert_eq!(
                (snapshot.open, snapshot.at),
                (self.model.open_of(&team).count() as u64, now),
                "after {after:?}"
            );
            let rows = ledger.rows(&team, 0, 10_000).await.unwrap().rows;
            let own: Vec<_> =
                self.made.iter().filter(|call| call.team == team).map(|call| call.id).collect();
            assert_eq!(rows, self.model.rows(&own), "after {after:?}");
            let days = rows.iter().filter_map(|row| row.day.parse().ok());
            let days: Option<(Date, Date)> = days.fold(None, |so_far, day| {
                Some(so_far.map_or((day, day), |(first, last): (Date, Date)| {
                    (first.min(day), last.max(day))
                }))
            });
            if let Some((first, last)) = days {
                let usage = ledger.usage(&team, first..=last).await.unwrap();
                assert_eq!(usage, self.model.usage(&own), "after {after:?}");
            }
        }
    }

    fn levels(&self) -> Vec<Level> {
        let level =
            |scope, position: usize| Level { scope, limits: Arc::clone(&self.limits[position]) };
        let users = USERS.iter().map(|name| level(user(name), 1));
        let keys = KEYS.iter().map(|id| level(key(id), 2));
        std::iter::once(level(Scope::Team, 0)).chain(users).chain(keys).collect()
    }

    fn admission(
        &self,
        team: usize,
        user: usize,
        key: Option<usize>,
        price: u64,
        phase: Phase,
    ) -> Admission {
        let all = self.levels();
        let mut levels = vec![all[0].clone(), all[1 + user].clone()];
        levels.extend(key.map(|key| all[1 + USERS.len() + key].clone()));
        let admission =
            call().team(TEAMS[team]).user(USERS[user], []).admission(ReservationId::new());
        Admission {
            levels,
            time_zone: self.zone.clone(),
            price: credits(price),
            phase,
            ..admission
        }
    }

    fn scaled(&self, kind: LimitKind, max: u64, burst: u64, shadow: bool) -> Limit {
        match kind.shape() {
            Shape::Bucket(_) => Limit { burst, shadow, ..Limit::new(kind, max) },
            // The threshold changes nothing else.
            Shape::Window(_, Unit::Credits) => Limit {
                shadow,
                soft: Share::from_millionths(burst * 200_000),
                ..Limit::new(kind, max * 99_999)
            },
            Shape::Window(_, Unit::Requests) | Shape::Slots => {
                Limit { shadow, ..Limit::new(kind, max) }
            }
        }
    }
}

fn answer_of(verdict: Verdict, now: Timestamp) -> Answer {
    match verdict {
        Verdict::Admitted { statuses, at } => {
            assert_eq!(at, now);
            (statuses, None)
        }
        Verdict::Refused { statuses, binding, retry_at, at } => {
            assert_eq!(at, now);
            (statuses, Some((binding, retry_at)))
        }
    }
}

/// Promise 1, without the model: what was just admitted passes no limit, except one in the
/// shadow.
fn assert_within_limits(answer: &Answer, expected: &Answer) {
    let admitted = answer.1.is_none();
    for (status, model) in answer.0.iter().zip(&expected.0) {
        let within = status.used + status.reserved <= status.max || model.shadow_refused;
        assert!(!admitted || within, "{status:?}");
    }
}
