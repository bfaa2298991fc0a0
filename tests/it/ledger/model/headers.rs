//! The rate-limit headers, beside the plain model: under random limits on three levels, they say
//! exactly how many calls would still pass at that moment, and how many credits one of them may
//! cost.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Version};
use jiff::tz::TimeZone;
use moongate::admission::{into_refusal, response_headers};
use moongate::clock::Clock;
use moongate::ledger::{
    Admission, ExtrapolatedLimits, Ledger, OnUnknown, Outcome, ReservationId, Scope, Settled,
    Verdict,
};
use moongate::refusal::{Refusal, body};
use moongate::team::limit::{Period, Shape, Unit};
use moongate::team::{Limit, LimitKind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::Model;
use crate::ledger::conformance::Bench;
use crate::ledger::conformance::harness::{call, credits, key, moment, settlement};

const ZONE: &str = "Europe/Berlin";
/// Half a minute before midnight there, on the last day of a month.
const START: &str = "2026-10-31T22:59:30Z";
const USERS: [&str; 2] = ["ana", "bo"];
const KEYS: [&str; 2] = ["k7Qp2mZr9aBc", "k7Qp2mZr9aBd"];

/// A call from its admission to its answer, and what passes until the next.
#[derive(Clone, Debug)]
struct Turn {
    user: usize,
    key: Option<usize>,
    price: u64,
    lasts: u64,
    outcome: Outcome,
    charged: u64,
    then: u64,
}

fn turn() -> impl Strategy<Value = Turn> {
    let price = || select(vec![0, 1, 99_999, 100_000]);
    let outcome = select(vec![
        Outcome::Charged,
        Outcome::Charged,
        Outcome::Refused,
        Outcome::Released,
        Outcome::Unknown,
    ]);
    let pass = || select(vec![0, 0, 1, 999_999, 1_000_000, 7_777_777, 14_999_999]);
    (0..2_usize, proptest::option::of(0..2_usize), price(), pass(), outcome, price(), pass())
        .prop_map(|(user, key, price, lasts, outcome, charged, then)| Turn {
            user,
            key,
            price,
            lasts,
            outcome,
            charged,
            then,
        })
}

fn limits() -> impl Strategy<Value = Vec<Limit>> {
    let limit = (select(LimitKind::ALL.to_vec()), 1..8_u64, 1..5_u64, prop::bool::weighted(0.2))
        .prop_map(|(kind, max, burst, shadow)| match kind.shape() {
            Shape::Bucket(_) => Limit { burst, shadow, ..Limit::new(kind, max) },
            Shape::Window(_, Unit::Credits) => Limit { shadow, ..Limit::new(kind, max * 99_999) },
            Shape::Window(_, Unit::Requests) => Limit { shadow, ..Limit::new(kind, max) },
            // One call at a time: its slot is free again when it is answered.
            Shape::Slots => Limit { shadow, ..Limit::new(kind, 1) },
        });
    vec(limit, 0..4)
}

/// Drives random turns through this store, with the model beside it.
pub(crate) fn headers_say_how_many_calls_still_pass<B: Bench>() {
    let config = ProptestConfig {
        cases: 64,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    proptest!(config, |(levels in [limits(), limits(), limits()], turns in vec(turn(), 4..24))| {
        runtime.block_on(async {
            let clock = Clock::moved(moment(START));
            let bench = B::start(clock.clone(), OnUnknown::Charge, Arc::default()).await;
            let model = Model::new(crate::ledger::conformance::TTL, OnUnknown::Charge);
            let mut world = World { ledger: bench.handle().await, clock, model, levels };
            for turn in &turns {
                world.take(turn).await;
            }
        });
    });
}

struct World {
    ledger: Arc<dyn Ledger>,
    clock: Clock,
    model: Model,
    /// The limits of the team, of each user, of each key.
    levels: [Vec<Limit>; 3],
}

impl World {
    async fn take(&mut self, turn: &Turn) {
        let admission = self.admission(turn);
        self.model.admit(&admission, self.clock.now());
        match self.ledger.admit(admission.clone()).await.unwrap() {
            Verdict::Admitted { statuses, at } => {
                self.pass(turn.lasts);
                let end = settlement(admission.id, turn.outcome, turn.charged.min(turn.price));
                self.model.settle(&admission.team, &end, self.clock.now());
                let settled = self.ledger.settle(&admission.team, end).await.unwrap();
                let Settled::Now(charged) = settled else { panic!("{settled:?}") };
                let mut limits = ExtrapolatedLimits::new(statuses, at);
                limits.settle(turn.outcome, admission.price, charged);
                self.compare(&admission, &mut limits, turn);
                self.pass(turn.then);
                self.compare(&admission, &mut limits, turn);
            }
            Verdict::Refused { statuses, binding, retry_at, at } => {
                let refusal =
                    into_refusal::refusal(statuses, binding, retry_at, at, admission.price);
                let answer = body::answer(&refusal, "r-1", Version::HTTP_2, at);
                self.compare_count(&admission, answer.headers(), &format!("{refusal:?}"));
                if let Refusal::RateLimited(bound) | Refusal::QuotaExhausted(bound) = &refusal {
                    let reset = answer.headers()["x-ratelimit-reset"]
                        .to_str()
                        .unwrap()
                        .parse::<i64>()
                        .unwrap();
                    let retry_at = bound.reset_at.unwrap();
                    assert!(
                        (0..=1_000_000).contains(&(reset * 1_000_000 - retry_at.as_microsecond())),
                        "{refusal:?}"
                    );
                }
                self.pass(turn.then);
            }
        }
    }

    fn pass(&self, micros: u64) {
        self.clock.set(self.clock.now() + Duration::from_micros(micros));
    }

    fn compare(&self, admission: &Admission, limits: &mut ExtrapolatedLimits, turn: &Turn) {
        limits.bring_up_to(self.clock.now(), &admission.levels, &admission.time_zone);
        let times = [Duration::ZERO, Duration::ZERO, Duration::from_micros(turn.lasts)];
        let headers = response_headers::headers(limits, admission.price, times);
        self.compare_count(admission, &headers, &format!("{limits:?}"));
        self.compare_credits(admission, &headers, &format!("{limits:?}"));
    }

    /// Checks that as many calls pass now as the headers say, and no more.
    fn compare_count(&self, admission: &Admission, headers: &HeaderMap, why: &str) {
        let remaining = headers
            .get("x-ratelimit-remaining")
            .map(|value| value.to_str().unwrap().parse::<usize>().unwrap());
        let counts = |limit: &Limit| match limit.kind.shape() {
            Shape::Bucket(_) | Shape::Window(Period::Day | Period::Month, Unit::Requests) => {
                !limit.shadow
            }
            Shape::Window(..) | Shape::Slots => false,
        };
        let counted: Vec<_> = admission
            .levels
            .iter()
            .map(|level| {
                (
                    level.scope.clone(),
                    level.limits.iter().copied().filter(counts).collect::<Vec<_>>(),
                )
            })
            .collect();
        if counted.iter().all(|(_, limits)| limits.is_empty()) {
            return assert_eq!(remaining, None, "{why}");
        }
        let wide = |price| self.under(&counted, admission, price);
        let (mut model, now) = (self.model.clone(), self.clock.now());
        let mut passed = 0;
        while model.admit(&wide(0), now).1.is_none() {
            passed += 1;
        }
        assert_eq!(remaining, Some(passed), "at {now}: {why}");
    }

    /// A call at what is left passes every budget, and one that costs a millionth more does not.
    fn compare_credits(&self, admission: &Admission, headers: &HeaderMap, why: &str) {
        let budget = |limit: &Limit| {
            matches!(limit.kind.shape(), Shape::Window(_, Unit::Credits)) && !limit.shadow
        };
        let budgets: Vec<_> = admission
            .levels
            .iter()
            .map(|level| {
                (
                    level.scope.clone(),
                    level.limits.iter().copied().filter(budget).collect::<Vec<_>>(),
                )
            })
            .collect();
        let remaining = headers.get("x-credits-remaining").map(|value| value.to_str().unwrap());
        if budgets.iter().all(|(_, limits)| limits.is_empty()) {
            return assert_eq!(remaining, None, "{why}");
        }
        let left = remaining.unwrap().parse::<moongate::credits::Credits>().unwrap().micros();
        let (model, now) = (&self.model, self.clock.now());
        let passes =
            |price| model.clone().admit(&self.under(&budgets, admission, price), now).1.is_none();
        assert!(passes(left) && !passes(left + 1), "at {now}: {left} of {why}");
    }

    /// The same caller once more, at another price, where only these limits hold.
    fn under(
        &self,
        limits: &[(Scope, Vec<Limit>)],
        admission: &Admission,
        price: u64,
    ) -> Admission {
        let call = limits.iter().fold(call(), |call, (scope, limits)| {
            call.level(scope.clone(), limits.iter().copied())
        });
        let levels = call
            .levels
            .into_iter()
            .filter(|level| limits.iter().any(|(scope, _)| *scope == level.scope));
        Admission {
            id: ReservationId::new(),
            levels: levels.collect(),
            price: credits(price),
            ..admission.clone()
        }
    }

    fn admission(&self, turn: &Turn) -> Admission {
        let [team, of_user, of_key] = self.levels.clone();
        let mut call = call().limits(team).user(USERS[turn.user], of_user).price(turn.price);
        if let Some(which) = turn.key {
            call = call.level(key(KEYS[which]), of_key);
        }
        Admission {
            time_zone: TimeZone::get(ZONE).unwrap(),
            ..call.admission(ReservationId::new())
        }
    }
}
