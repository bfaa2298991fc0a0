//! Parameters of a team in one history: its limits, and when the history begins.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::random::Random;
use crate::calendar::Calendar;
use crate::credits::Credits;
use crate::ledger::machine::{Rules, ScopeName, judgement};
use crate::ledger::{
    Admission, CallSummary, Level, OnUnknown, Phase, ReservationId, Retention, Scope, SnapshotQuery,
};
use crate::team::{KeyId, Limit, LimitKind, Limits, Share, TeamId, UserId};

/// Lifetime of a reservation without a renewal, in microseconds.
pub(super) const TTL: i64 = 3_000_000;
/// How long other processes have to restore what they know, in microseconds.
pub(super) const GATHER: i64 = TTL / 3;
/// A second, in microseconds.
pub(super) const SECOND: i64 = 1_000_000;
/// 2026-11-30 at noon, in microseconds of Unix time.
const NOON: i64 = 1_796_040_000 * SECOND;
/// How many seconds before midnight, and before the next month, a history may begin.
const BEFORE_MIDNIGHT: i64 = 5;
const USERS: [&str; 2] = ["ada", "bob"];
const KEY: &str = "simulation00";

/// Parameters of one team.
#[derive(Clone)]
pub(super) struct Scenario {
    pub(super) team: TeamId,
    /// When it begins, in microseconds of Unix time.
    pub(super) begins: i64,
    pub(super) rules: Arc<Rules>,
    /// Many calls and hardly any limits, so that more calls are abandoned than one operation ends
    /// along the way.
    pub(super) is_crowded: bool,
    /// The limits change during the history.
    pub(super) limits_change: bool,
    /// Limits of team, users and key, before and after the change.
    levels: [[Arc<Limits>; 3]; 2],
    reader: Arc<Limits>,
    zone: TimeZone,
}

impl Scenario {
    /// The parameters of one of several teams.
    pub(super) fn of(seed: u64, team: usize) -> Self {
        let random = &mut Random::new(seed, 1);
        let midnight = NOON + (12 * 3600 - BEFORE_MIDNIGHT) * SECOND;
        let begins = if random.once_in(2) { NOON } else { midnight } + random.between(0, SECOND);
        let rows_max = if random.once_in(4) { 5 } else { 1_000 };
        let retention = Retention { rows_max, ..Retention::default() };
        let ttl = Duration::from_micros(TTL.unsigned_abs());
        let is_crowded = random.once_in(20);
        let rules = Rules { reservation_ttl: ttl, retention, on_unknown: OnUnknown::Charge };
        let draw = |random: &mut Random| {
            [3, 2, 2].map(|least| limits(random, if is_crowded { 25 } else { least }))
        };
        let mut of_another = Random::new(seed, 30 + team as u64);
        let first = draw(if team == 0 { random } else { &mut of_another });
        let limits_change = Random::new(seed, 9).once_in(4);
        let second = if limits_change {
            draw(&mut Random::new(seed, 40 + team as u64))
        } else {
            first.clone()
        };
        let levels = [first, second];
        Self {
            team: TeamId::parse(["design", "growth"][team]).unwrap(),
            begins,
            rules: Arc::new(rules),
            is_crowded,
            limits_change,
            levels,
            reader: Arc::new(Limits::new([Limit::new(LimitKind::RequestsPerMinute, 3)])),
            zone: TimeZone::UTC,
        }
    }

    /// The name of the day around a moment.
    pub(super) fn day(&self, at: i64) -> String {
        Calendar::around(judgement::at(at), &self.zone).day.name
    }

    /// The limits of a scope, each at its largest in the history.
    pub(super) fn limits_of(&self, name: &ScopeName) -> Vec<Limit> {
        let of = |[team, user, key]: &[Arc<Limits>; 3]| {
            let limits = match &*name.level {
                "team" => team,
                "user" => user,
                "key" => key,
                _ => &self.reader,
            };
            limits.iter().copied().filter(|limit| !limit.shadow).collect::<Vec<_>>()
        };
        let [first, second] = self.levels.each_ref().map(of);
        let both = first.into_iter().filter_map(|one| {
            let other = second.iter().find(|other| other.kind == one.kind)?;
            Some(Limit { max: one.max.max(other.max), burst: one.burst.max(other.burst), ..one })
        });
        both.collect()
    }

    fn levels_of(&self, user: &UserId, with_key: bool, limits: usize) -> Vec<Level> {
        let [team, of_user, of_key] = &self.levels[limits];
        let mut levels = vec![
            Level { scope: Scope::Team, limits: Arc::clone(team) },
            Level { scope: Scope::User(user.clone()), limits: Arc::clone(of_user) },
        ];
        if with_key {
            levels.push(Level {
                scope: Scope::Key(KeyId::parse(KEY).unwrap()),
                limits: Arc::clone(of_key),
            });
        }
        levels
    }

    /// A request for admission.
    pub(super) fn admission(
        &self,
        id: ReservationId,
        phase: Phase,
        limits: usize,
        random: &mut Random,
    ) -> Admission {
        let user = UserId::parse(USERS[random.place(USERS.len())]).unwrap();
        let summary = CallSummary {
            user: user.to_string(),
            model: if random.once_in(2) { "flux" } else { "sora" }.to_owned(),
            ..CallSummary::default()
        };
        Admission {
            id,
            team: self.team.clone(),
            levels: self.levels_of(&user, random.once_in(3), limits),
            time_zone: self.zone.clone(),
            price: Credits::from_micros(1 + random.below(4)),
            phase,
            summary: summary.into(),
        }
    }

    /// A query of the limits.
    pub(super) fn query(&self, random: &mut Random) -> SnapshotQuery {
        let user = UserId::parse(USERS[random.place(USERS.len())]).unwrap();
        let reader =
            Level { scope: Scope::Account(user.clone()), limits: Arc::clone(&self.reader) };
        SnapshotQuery {
            team: self.team.clone(),
            levels: self.levels_of(&user, false, 0),
            time_zone: self.zone.clone(),
            reader: random.once_in(2).then_some(reader),
        }
    }
}

/// A few limits that a short history reaches.
fn limits(random: &mut Random, least: u64) -> Arc<Limits> {
    let mut limits = Vec::new();
    let kinds = [
        (LimitKind::RequestsPerSecond, 1),
        (LimitKind::RequestsPerMinute, 2),
        (LimitKind::RequestsPerDay, 2),
        (LimitKind::CreditsPerDay, 4),
        (LimitKind::CreditsPerMonth, 5),
        (LimitKind::CreditsTotal, 5),
        (LimitKind::Concurrent, 1),
    ];
    for (kind, times) in kinds {
        if random.once_in(4) {
            let max = least * times + random.below(4);
            let soft =
                random.once_in(2).then_some(()).and_then(|()| Share::from_millionths(800_000));
            limits.push(Limit { shadow: random.once_in(8), soft, ..Limit::new(kind, max) });
        }
    }
    Arc::new(Limits::new(limits))
}
