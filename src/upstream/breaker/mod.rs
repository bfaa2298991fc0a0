//! Circuit breaker: after repeated failures of the upstream, calls are refused at once instead of
//! failing one by one.
//!
//! Reading order: `health_signal` (what counts as a failure), here its state, [`layer`] (refuses
//! calls), [`probe`] (closes it). Each process has one breaker for each origin, shared by its
//! workers. It is closed by a free request and never by a paid call, so that no call is an
//! experiment.

pub(super) mod health_signal;
pub mod layer;
pub mod probe;
#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

pub use layer::BreakerLayer;
pub use probe::Probe;

use crate::clock;
use crate::refusal::Refusal;
use crate::team::TeamId;

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many calls in a row must fail, over all teams.
    pub consecutive_failures: u32,
    /// Time from opening to the first probe.
    pub open_for: Duration,
    /// The longest time between probes: it doubles with every failed one.
    pub open_for_max: Duration,
}

/// What a call's end shows about the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthSignal {
    /// Answered, even if with a refusal: a 4xx, a full window, a rejected key.
    Alive,
    /// Unreachable, timed out, broke off, or only its platform answered (502, 503, 504, a
    /// page).
    Failed,
    /// Answered 500 itself. It is up and may serve other calls: if one team's input makes a
    /// model fail, the breaker must not close for everyone. So each team's failures count once.
    ErrorOfItsOwn,
}

/// The breaker of one origin. Its state is kept across a reload that does not change the origin.
pub struct Breaker {
    /// `None` never opens.
    settings: Option<Settings>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Time of the next probe in microseconds of the clock's elapsed time, plus one; 0 while it is
    /// closed. All that a call reads.
    open: AtomicU64,
    /// Whether there are failures to forget when a call is answered: all that a good answer reads.
    troubled: AtomicBool,
    streak: Mutex<Streak>,
    opened: Notify,
}

/// Failures since the last good answer.
#[derive(Default)]
struct Streak {
    failures: u32,
    /// Teams that got a 500, each counted once. No more than the failures.
    teams: HashSet<TeamId>,
    /// How often it has opened, which determines the next pause.
    openings: u32,
}

impl Breaker {
    /// A closed breaker, or the state of an earlier one with new settings.
    #[must_use]
    pub fn new(settings: Option<Settings>, before: Option<&Self>) -> Self {
        Self { settings, state: before.map(|before| Arc::clone(&before.state)).unwrap_or_default() }
    }

    /// Checks whether a call may be sent; `now` is the clock's elapsed time.
    ///
    /// # Errors
    /// `upstream_unavailable`, with the time until the next probe.
    pub fn check(&self, now: Duration) -> Result<(), Refusal> {
        match self.until_probe(now) {
            None => Ok(()),
            Some(retry_after) => Err(Refusal::UpstreamUnavailable { retry_after }),
        }
    }

    /// Whether calls are refused.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.until_probe(Duration::ZERO).is_some()
    }

    /// Time until the next probe, zero when it is due; `None` while the breaker is closed.
    #[must_use]
    pub fn until_probe(&self, now: Duration) -> Option<Duration> {
        let due = self.state.open.load(Ordering::Acquire).checked_sub(1)?;
        self.settings.map(|_| Duration::from_micros(due).saturating_sub(now))
    }

    /// Waits until it opens. Only one task may wait.
    pub async fn opened(&self) {
        self.state.opened.notified().await;
    }

    /// Notes how a team's call ended. Returns whether that opened the breaker.
    pub fn note(&self, team: &TeamId, health_signal: HealthSignal, now: Duration) -> bool {
        let Some(settings) = &self.settings else { return false };
        match health_signal {
            HealthSignal::Alive => {
                self.forget();
                false
            }
            HealthSignal::Failed | HealthSignal::ErrorOfItsOwn => {
                self.count(settings, team, health_signal, now)
            }
        }
    }

    /// Closes it after a probe was answered. The length of the next pause is reset only by a good
    /// answer to a call.
    pub(super) fn close(&self) {
        let mut streak = self.streak();
        streak.failures = 0;
        streak.teams.clear();
        self.state.open.store(0, Ordering::Release);
    }

    /// Extends the pause after a failed probe. Returns its length.
    pub(super) fn stay_open(&self, now: Duration) -> Duration {
        let mut streak = self.streak();
        self.settings.map_or(Duration::ZERO, |settings| self.cool_down(&settings, &mut streak, now))
    }

    fn forget(&self) {
        if self.state.troubled.load(Ordering::Relaxed) {
            let mut streak = self.streak();
            *streak = Streak::default();
            self.state.troubled.store(false, Ordering::Relaxed);
        }
    }

    fn count(
        &self,
        settings: &Settings,
        team: &TeamId,
        health_signal: HealthSignal,
        now: Duration,
    ) -> bool {
        let mut streak = self.streak();
        // Calls that were in flight when it opened add nothing.
        let is_open = self.state.open.load(Ordering::Acquire) > 0;
        if is_open
            || (health_signal == HealthSignal::ErrorOfItsOwn && !streak.teams.insert(team.clone()))
        {
            return false;
        }
        self.state.troubled.store(true, Ordering::Relaxed);
        streak.failures += 1;
        if streak.failures < settings.consecutive_failures {
            return false;
        }
        let (failures, open_for) = (streak.failures, self.cool_down(settings, &mut streak, now));
        drop(streak);
        let open_for = clock::readable(open_for);
        tracing::warn!(
            failures,
            ?open_for,
            "the upstream fails again and again: calls are refused until it answers"
        );
        self.state.opened.notify_one();
        true
    }

    fn cool_down(&self, settings: &Settings, streak: &mut Streak, now: Duration) -> Duration {
        let doubled = 2_u32.checked_pow(streak.openings).unwrap_or(u32::MAX);
        let open_for =
            jittered(settings.open_for.saturating_mul(doubled).min(settings.open_for_max));
        streak.openings = streak.openings.saturating_add(1);
        let due = u64::try_from((now + open_for).as_micros()).unwrap_or(u64::MAX - 1);
        self.state.open.store(due + 1, Ordering::Release);
        open_for
    }

    fn streak(&self) -> MutexGuard<'_, Streak> {
        self.state.streak.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between half and all of a time, so that replicas do not probe all at once.
fn jittered(time: Duration) -> Duration {
    let share =
        getrandom::u32().map_or(1.0, |drawn| 0.5 + f64::from(drawn) / f64::from(u32::MAX) / 2.0);
    time.mul_f64(share)
}
