//! The ledger as a plain list of calls: slow, without counters, short enough to check by reading.

mod forgotten;
mod headers;
mod past;
mod random_operations;
mod top_ups;
mod unread;

use std::collections::HashMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use moongate::credits::Credits;
use moongate::ledger::{
    Admission, CallResult, Level, LimitStatus, OnUnknown, Outcome, Phase, ReservationId, Row,
    Scope, Settled, Settlement, SnapshotQuery, Swept, TopUp,
};
use moongate::team::limit::{Period, Shape, Unit};
use moongate::team::{Limit, LimitKind, TeamId};

pub(crate) use headers::headers_say_how_many_calls_still_pass;
pub(crate) use random_operations::random_lives_match_the_plain_model;

/// Limit statuses; for a refusal also which of them refused, and when to retry.
pub(crate) type Answer = (Vec<LimitStatus>, Option<(usize, Option<Timestamp>)>);
/// Whether a limit lets a call through; if not, when it would.
type Passes = Result<(), Option<Timestamp>>;

#[derive(Clone)]
pub(crate) struct Call {
    admission: Admission,
    at: Timestamp,
    day: String,
    month: String,
    deadline: Timestamp,
    row: Option<Row>,
    /// Has ended, and its answer is being read.
    is_unread: bool,
}

#[derive(Clone)]
pub(crate) struct Model {
    ttl: Duration,
    on_unknown: OnUnknown,
    calls: Vec<Call>,
    /// Rows in the order in which the calls ended.
    ended: Vec<Row>,
    /// How full, in tokens times the period's microseconds, and when that was.
    buckets: HashMap<(TeamId, Scope, LimitKind), (u128, Timestamp)>,
    top_ups: Vec<(TeamId, TopUp)>,
    forgets: bool,
    /// The time from which nothing that a user or a key counted matters any more.
    until: HashMap<(TeamId, Scope), Timestamp>,
    /// How many of the first calls are forgotten of a user or a key.
    forgotten: HashMap<(TeamId, Scope), usize>,
}

impl Model {
    pub(crate) fn new(ttl: Duration, on_unknown: OnUnknown) -> Self {
        Self {
            ttl,
            on_unknown,
            calls: Vec::new(),
            ended: Vec::new(),
            buckets: HashMap::new(),
            top_ups: Vec::new(),
            forgets: true,
            until: HashMap::new(),
            forgotten: HashMap::new(),
        }
    }

    pub(crate) fn admit(&mut self, admission: &Admission, now: Timestamp) -> Answer {
        let (levels, time_zone) = (admission.levels.clone(), admission.time_zone.clone());
        let query = SnapshotQuery { team: admission.team.clone(), levels, time_zone, reader: None };
        if self.open(&admission.team, admission.id).is_some() {
            return (self.snapshot(&query, now), None);
        }
        let judged = self.judge(&query, admission.price, now);
        let would_refuse: Vec<bool> = judged.iter().map(|(_, _, passes)| passes.is_err()).collect();
        let flagged = |statuses: Vec<LimitStatus>| -> Vec<LimitStatus> {
            let shadows = judged
                .iter()
                .zip(&would_refuse)
                .map(|((limit, _, _), refuse)| limit.shadow && *refuse);
            statuses
                .into_iter()
                .zip(shadows)
                .map(|(s, shadow_refused)| LimitStatus { shadow_refused, ..s })
                .collect()
        };
        let mut binding: Option<(usize, Option<Timestamp>)> = None;
        for (index, (limit, _, passes)) in judged.iter().enumerate() {
            if let (false, Err(retry_at)) = (limit.shadow, passes) {
                let longer = |than: Option<Timestamp>| {
                    than.is_some_and(|than| retry_at.is_none_or(|at| at > than))
                };
                if binding.is_none_or(|(_, so_far)| longer(so_far)) {
                    binding = Some((index, *retry_at));
                }
            }
        }
        if binding.is_some() {
            return (flagged(self.snapshot(&query, now)), binding);
        }
        let mut refusals = would_refuse.iter();
        for level in &admission.levels {
            for limit in level.limits.iter() {
                let over = *refusals.next().unwrap();
                if let (Shape::Bucket(period), false) = (limit.kind.shape(), over) {
                    let filled =
                        self.filled(&admission.team, &level.scope, limit, now) + period.as_micros();
                    self.buckets.insert(
                        (admission.team.clone(), level.scope.clone(), limit.kind),
                        (filled, now),
                    );
                }
            }
        }
        admission.levels.iter().for_each(|level| self.matters_until(admission, level, now));
        let (day, month) = names(now, &admission.time_zone);
        self.calls.push(Call {
            admission: admission.clone(),
            at: now,
            day,
            month,
            deadline: now + self.ttl,
            row: None,
            is_unread: false,
        });
        (flagged(self.snapshot(&query, now)), None)
    }

    pub(crate) fn dispatch(&mut self, team: &TeamId, id: ReservationId) -> bool {
        self.comes_to(team, id, Phase::Dispatched)
    }

    pub(crate) fn recall(&mut self, team: &TeamId, id: ReservationId) -> bool {
        self.comes_to(team, id, Phase::TurnedBack)
    }

    fn comes_to(&mut self, team: &TeamId, id: ReservationId, phase: Phase) -> bool {
        self.open(team, id).map(|call| call.admission.phase = phase).is_some()
    }

    pub(crate) fn renew(&mut self, team: &TeamId, ids: &[ReservationId], now: Timestamp) {
        for id in ids {
            let deadline = now + self.ttl;
            if let Some(call) = self.call(team, *id, |call| call.row.is_none() || call.is_unread) {
                call.deadline = deadline;
            }
        }
    }

    pub(crate) fn settle(&mut self, team: &TeamId, end: &Settlement, now: Timestamp) -> Settled {
        let deadline = now + self.ttl;
        let Some(call) = self.open(team, end.id) else { return Settled::Before };
        let (day, month) = (call.day.clone(), call.month.clone());
        let charged = match end.outcome {
            Outcome::Charged | Outcome::Unknown => end.charged.min(call.admission.price),
            Outcome::Released | Outcome::Refused => Credits::ZERO,
        };
        let row = Row {
            id: end.id,
            outcome: end.outcome,
            reserved: call.admission.price,
            charged,
            day,
            month,
            admitted_at: call.at,
            settled_at: now,
            summary: call.admission.summary.clone(),
            result: end.result.clone(),
        };
        (call.row, call.is_unread) = (Some(row.clone()), end.keeps_slots);
        if end.keeps_slots {
            call.deadline = deadline;
        }
        self.ended.push(row);
        Settled::Now(charged)
    }

    pub(crate) fn sweep(&mut self, team: &TeamId, now: Timestamp) -> Swept {
        if self.forgets {
            self.forget(team, now);
        }
        self.free_slots(team, now);
        let mut overdue: Vec<_> = self.open_of(team).filter(|call| call.deadline <= now).collect();
        overdue.sort_by_key(|call| (call.deadline, call.admission.id));
        let ends: Vec<_> = overdue
            .iter()
            .map(|call| (call.admission.id, call.admission.phase, call.admission.price))
            .collect();
        let mut swept = Swept::default();
        for (id, phase, price) in ends {
            let (outcome, charged) = match (phase, self.on_unknown) {
                (Phase::Waiting, _) => (Outcome::Released, Credits::ZERO),
                (Phase::TurnedBack, _) => (Outcome::Refused, Credits::ZERO),
                (Phase::Dispatched, OnUnknown::Charge) => (Outcome::Unknown, price),
                (Phase::Dispatched, OnUnknown::Release) => (Outcome::Unknown, Credits::ZERO),
            };
            *match phase {
                Phase::Waiting => &mut swept.released,
                Phase::TurnedBack => &mut swept.refused,
                Phase::Dispatched => &mut swept.unknown,
            } += 1;
            let end = Settlement {
                id,
                outcome,
                charged,
                result: CallResult::default(),
                keeps_slots: false,
            };
            self.settle(team, &end, now);
        }
        swept
    }

    pub(crate) fn snapshot(&self, query: &SnapshotQuery, now: Timestamp) -> Vec<LimitStatus> {
        self.judge(query, Credits::ZERO, now).into_iter().map(|(_, status, _)| status).collect()
    }

    pub(crate) fn open_of(&self, team: &TeamId) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.admission.team == *team && call.row.is_none())
    }

    fn open(&mut self, team: &TeamId, id: ReservationId) -> Option<&mut Call> {
        self.call(team, id, |call| call.row.is_none())
    }

    fn call(
        &mut self,
        team: &TeamId,
        id: ReservationId,
        wanted: impl Fn(&Call) -> bool,
    ) -> Option<&mut Call> {
        self.calls
            .iter_mut()
            .find(|call| call.admission.team == *team && call.admission.id == id && wanted(call))
    }

    fn judge(
        &self,
        query: &SnapshotQuery,
        price: Credits,
        now: Timestamp,
    ) -> Vec<(Limit, LimitStatus, Passes)> {
        let of_level = |level: &Level| -> Vec<_> {
            let judge = |limit: &Limit| match limit.kind.shape() {
                Shape::Bucket(period) => self.bucket(query, &level.scope, limit, period, now),
                Shape::Window(period, unit) => {
                    self.window(query, &level.scope, limit, period, unit, price, now)
                }
                Shape::Slots => self.slots(query, &level.scope, limit, now),
            };
            level
                .limits
                .iter()
                .map(|limit| (*limit, judge(limit)))
                .map(|(limit, (s, p))| (limit, s, p))
                .collect()
        };
        query.levels.iter().flat_map(of_level).collect()
    }

    fn bucket(
        &self,
        query: &SnapshotQuery,
        scope: &Scope,
        limit: &Limit,
        period: Duration,
        now: Timestamp,
    ) -> (LimitStatus, Passes) {
        let filled = self.filled(&query.team, scope, limit, now);
        let after = |excess: u128| match (excess, u128::from(limit.max)) {
            (0, _) => Some(now),
            (_, 0) => None,
            (excess, rate) => {
                Some(now + Duration::from_micros(u64::try_from(excess.div_ceil(rate)).unwrap()))
            }
        };
        let used = u64::try_from(filled.div_ceil(period.as_micros())).unwrap();
        let excess = (filled + period.as_micros())
            .saturating_sub(u128::from(limit.burst) * period.as_micros());
        let passes = if excess == 0 && limit.max > 0 { Ok(()) } else { Err(after(excess.max(1))) };
        (LimitStatus { max: limit.burst, ..status(scope, limit, used, 0, after(filled)) }, passes)
    }

    fn filled(&self, team: &TeamId, scope: &Scope, limit: &Limit, now: Timestamp) -> u128 {
        let (filled, since) = self
            .buckets
            .get(&(team.clone(), scope.clone(), limit.kind))
            .copied()
            .unwrap_or((0, now));
        let elapsed = u128::try_from(since.duration_until(now).as_micros()).unwrap_or(0);
        filled.saturating_sub(elapsed * u128::from(limit.max))
    }

    #[allow(clippy::too_many_arguments)]
    fn window(
        &self,
        query: &SnapshotQuery,
        scope: &Scope,
        limit: &Limit,
        period: Period,
        unit: Unit,
        price: Credits,
        now: Timestamp,
    ) -> (LimitStatus, Passes) {
        let zone = &query.time_zone;
        let (day, month) = names(now, zone);
        let same_window = |call: &&Call| match period {
            Period::Day => call.day == day,
            Period::Month => call.month == month,
            Period::Total => true,
        };
        let (mut used, mut reserved) = (0, 0);
        for call in self.of(&query.team, scope).filter(same_window) {
            match (&call.row, unit) {
                (None, Unit::Requests) => reserved += 1,
                (None, Unit::Credits) => reserved += call.admission.price.micros(),
                (Some(row), Unit::Requests) => used += u64::from(row.outcome != Outcome::Released),
                (Some(row), Unit::Credits) => used += row.charged.micros(),
            }
        }
        let today = now.to_zoned(zone.clone()).date();
        let end = match period {
            Period::Day => Some(today.tomorrow().unwrap()),
            Period::Month => Some(today.first_of_month().saturating_add(1.month())),
            Period::Total => None,
        };
        let end = end.map(|date| date.to_zoned(zone.clone()).unwrap().timestamp());
        let amount = if unit == Unit::Credits { price.micros() } else { 1 };
        let topped_up =
            if period == Period::Total { self.topped_up(&query.team, scope).micros() } else { 0 };
        let max = (limit.max + topped_up).min(Credits::MAX.micros());
        let passes = match max {
            0 => Err(None),
            max if used + reserved + amount <= max => Ok(()),
            max if amount > max => Err(None),
            _ => Err(end),
        };
        (LimitStatus { max, topped_up, ..status(scope, limit, used, reserved, end) }, passes)
    }

    fn slots(
        &self,
        query: &SnapshotQuery,
        scope: &Scope,
        limit: &Limit,
        now: Timestamp,
    ) -> (LimitStatus, Passes) {
        let open =
            u64::try_from(self.of(&query.team, scope).filter(|call| call.holds_slots()).count())
                .unwrap();
        let passes = match limit.max {
            0 => Err(None),
            max if open < max => Ok(()),
            _ => Err(Some(now + Duration::from_secs(1))),
        };
        (status(scope, limit, 0, open, None), passes)
    }

    fn of(&self, team: &TeamId, scope: &Scope) -> impl Iterator<Item = &Call> {
        let forgotten = self.forgotten.get(&(team.clone(), scope.clone())).copied().unwrap_or(0);
        let is_of = move |call: &&Call| {
            call.admission.team == *team && call.admission.levels.iter().any(|l| l.scope == *scope)
        };
        self.calls.iter().skip(forgotten).filter(is_of)
    }
}

fn names(moment: Timestamp, zone: &TimeZone) -> (String, String) {
    let date = moment.to_zoned(zone.clone()).date();
    (date.to_string(), date.strftime("%Y-%m").to_string())
}

fn status(
    scope: &Scope,
    limit: &Limit,
    used: u64,
    reserved: u64,
    reset_at: Option<Timestamp>,
) -> LimitStatus {
    let (scope, kind, max) = (scope.clone(), limit.kind, limit.max);
    LimitStatus {
        scope,
        kind,
        max,
        topped_up: 0,
        used,
        reserved,
        reset_at,
        shadow: limit.shadow,
        shadow_refused: false,
    }
}
