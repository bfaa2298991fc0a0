//! The big trial: 20,000 admissions over 50 teams, ten thousand at once, under all kinds of limits
//! on three levels, held against the plain model.
//!
//! Nobody knows in which order they came, and it does not matter: while no call ends and no time
//! passes, limits only fill up. So the model must admit, in any order, all that the store admitted
//! (no limit was passed by one), and must then refuse whatever the store refused (none was refused
//! while there was room).

mod stores;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use moongate::clock::Clock;
use moongate::ledger::{
    Admission, Ledger, Level, LimitStatus, OnUnknown, Outcome, ReservationId, Scope, Settled,
    Settlement, SnapshotQuery, Verdict,
};
use moongate::team::limit::{Shape, Unit};
use moongate::team::{Limit, LimitKind, Limits};
use tokio::task::JoinSet;

use crate::ledger::conformance::TTL;
use crate::ledger::conformance::harness::{Call, PRICE, call, key, settlement, user};
use crate::ledger::model::Model;

const TEAMS: usize = 50;
const USERS: usize = 4;
/// Keys of each user.
const KEYS: usize = 2;
/// How many calls come at once.
const CALLS: usize = 10_000;
/// How often they come. In between, those that were admitted end, and a little time passes.
const WAVES: usize = 2;
const PAUSE: Duration = Duration::from_secs(7);

/// Whether each call of a wave was admitted, and under which id.
type Answers = Vec<Option<ReservationId>>;

/// A number that looks like any other (the finalizer of SplitMix64).
fn mixed(number: usize) -> u64 {
    let number = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Limits of every kind. One kind is the narrowest: in a wave it lets through a part of the calls
/// that come to it, or all.
fn limits(number: usize, calls: u64, narrowest: usize) -> Arc<Limits> {
    let limit = |(place, kind): (usize, LimitKind)| {
        let most = if place == narrowest { calls / 4 + mixed(number) % calls } else { 4 * calls };
        match kind.shape() {
            // What is left of a budget may be less than a call costs.
            Shape::Window(_, Unit::Credits) => Limit::new(kind, most * PRICE + PRICE / 2),
            Shape::Window(_, Unit::Requests) | Shape::Slots => Limit::new(kind, most),
            Shape::Bucket(_) => Limit { burst: most, ..Limit::new(kind, most) },
        }
    };
    Arc::new(Limits::new(LimitKind::ALL.into_iter().enumerate().map(limit)))
}

/// All levels of a team: its own, its users', its users' keys'.
fn levels(team: usize) -> Vec<Level> {
    let kinds = LimitKind::ALL.len();
    let calls = (CALLS / TEAMS) as u64;
    let mut levels = vec![Level { scope: Scope::Team, limits: limits(team, calls, team % kinds) }];
    for place in 0..USERS {
        let (number, calls) = (1_000 + team * USERS + place, calls / USERS as u64);
        let limits = limits(number, calls, (team + 3 * place) % kinds);
        levels.push(Level { scope: user(&format!("user {place}")), limits });
    }
    for place in 0..USERS * KEYS {
        let (number, calls) = (2_000 + team * USERS * KEYS + place, calls / (USERS * KEYS) as u64);
        levels.push(Level {
            scope: key(&format!("key000{team:03}{place:03}")),
            limits: limits(number, calls, (team + 4 + place) % kinds),
        });
    }
    levels
}

const fn team_of(call: usize) -> usize {
    call % TEAMS
}

/// The key that a call comes with; two keys are one user's.
const fn key_of(call: usize) -> usize {
    call / TEAMS % (USERS * KEYS)
}

/// The calls that come, by the team and the key they come with: those of one kind ask for the same.
struct Crowd {
    teams: Vec<Vec<Level>>,
}

impl Crowd {
    fn new() -> Self {
        Self { teams: (0..TEAMS).map(levels).collect() }
    }

    fn team(&self, team: usize) -> Call {
        Call { levels: self.teams[team].clone(), ..call().team(&format!("team-{team}")) }
    }

    fn admission(&self, call: usize, id: ReservationId) -> Admission {
        let (all, key) = (&self.teams[team_of(call)], key_of(call));
        let levels =
            vec![all[0].clone(), all[1 + key / KEYS].clone(), all[1 + USERS + key].clone()];
        Call { levels, ..self.team(team_of(call)) }.admission(id)
    }

    /// Sends some of the calls of a wave at once.
    async fn come(
        &self,
        calls: impl Iterator<Item = usize>,
        ledger: &Arc<dyn Ledger>,
    ) -> Vec<(usize, Option<ReservationId>)> {
        let mut coming = JoinSet::new();
        for call in calls {
            let id = ReservationId::new();
            let (ledger, admission) = (Arc::clone(ledger), self.admission(call, id));
            coming.spawn(async move {
                let admitted =
                    matches!(ledger.admit(admission).await.unwrap(), Verdict::Admitted { .. });
                (call, admitted.then_some(id))
            });
        }
        coming.join_all().await
    }
}

/// How an admitted call ends.
fn end(call: usize, id: ReservationId) -> Settlement {
    let (outcome, charged) = match mixed(call) % 8 {
        0 => (Outcome::Released, 0),
        1 => (Outcome::Unknown, PRICE),
        2 | 3 => (Outcome::Charged, mixed(call) % PRICE),
        _ => (Outcome::Charged, PRICE),
    };
    settlement(id, outcome, charged)
}

/// Sends all waves and compares the store with the model after each step.
async fn stand_trial(
    clock: &Clock,
    handles: [Arc<dyn Ledger>; 2],
    wave: impl AsyncFn(&Crowd) -> Answers,
) {
    let crowd = Crowd::new();
    let mut models: Vec<Model> = (0..TEAMS).map(|_| Model::new(TTL, OnUnknown::Charge)).collect();
    let mut bound = BTreeSet::new();
    for _ in 0..WAVES {
        let answers = wave(&crowd).await;
        assert_eq!(answers.len(), CALLS);
        let admitted: Vec<_> =
            answers.iter().enumerate().filter_map(|(call, id)| Some((call, (*id)?))).collect();
        for (call, id) in &admitted {
            let (statuses, refusal) =
                models[team_of(*call)].admit(&crowd.admission(*call, *id), clock.now());
            assert_eq!(refusal, None, "call {call} was one too many: {statuses:?}");
        }
        let refused =
            answers.iter().enumerate().filter(|(_, id)| id.is_none()).map(|(call, _)| call);
        let refused: BTreeMap<_, _> =
            refused.map(|call| ((team_of(call), key_of(call)), call)).collect();
        for call in refused.into_values() {
            let admission = crowd.admission(call, ReservationId::new());
            let (statuses, refusal) = models[team_of(call)].admit(&admission, clock.now());
            let (binding, _) =
                refusal.unwrap_or_else(|| panic!("there was room for call {call}: {statuses:?}"));
            bound.insert((statuses[binding].scope.level(), statuses[binding].kind.name()));
        }
        compare(&crowd, &handles[0], &models, clock).await;
        settle(&crowd, &handles, &mut models, &admitted, clock).await;
        for status in compare(&crowd, &handles[1], &models, clock).await {
            assert_eq!(status.reserved, 0, "{status:?}");
        }
        clock.set(clock.now() + PAUSE);
    }
    assert_eq!(
        bound.len(),
        3 * LimitKind::ALL.len(),
        "every kind has refused a call on every level: {bound:?}"
    );
}

/// Ends all calls at once, some of them twice.
async fn settle(
    crowd: &Crowd,
    handles: &[Arc<dyn Ledger>; 2],
    models: &mut [Model],
    admitted: &[(usize, ReservationId)],
    clock: &Clock,
) {
    let mut settling = JoinSet::new();
    for (call, id) in admitted.iter().copied() {
        for ledger in &handles[usize::from(!mixed(call).is_multiple_of(5))..] {
            let (ledger, team) = (Arc::clone(ledger), crowd.team(team_of(call)).team);
            settling
                .spawn(async move { (call, ledger.settle(&team, end(call, id)).await.unwrap()) });
        }
    }
    let settled = settling.join_all().await;
    let settled: BTreeMap<usize, Settled> =
        settled.into_iter().filter(|(_, settled)| *settled != Settled::Before).collect();
    assert_eq!(settled.len(), admitted.len());
    for (call, id) in admitted {
        let team = crowd.team(team_of(*call)).team;
        assert_eq!(
            models[team_of(*call)].settle(&team, &end(*call, *id), clock.now()),
            settled[call],
            "call {call}"
        );
    }
}

/// The limit statuses of every level of every team are the model's.
async fn compare(
    crowd: &Crowd,
    ledger: &Arc<dyn Ledger>,
    models: &[Model],
    clock: &Clock,
) -> Vec<LimitStatus> {
    let mut all = Vec::new();
    for (team, model) in models.iter().enumerate() {
        let Call { team, levels, zone, .. } = crowd.team(team);
        let query = SnapshotQuery { team, levels, time_zone: zone, reader: None };
        let snapshot = ledger.snapshot(query.clone()).await.unwrap();
        assert_eq!(snapshot.statuses, model.snapshot(&query, clock.now()));
        assert_eq!(snapshot.open, model.open_of(&query.team).count() as u64);
        all.extend(snapshot.statuses);
    }
    all
}
