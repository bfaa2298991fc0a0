//! The breaker: once the upstream has failed again and again, calls are refused at once instead of failing one by one.
//!
//! Reading order: [`seen`] (what counts as a failure), here its state, [`layer`] (where calls are refused), [`probe`]
//! (how it closes). Each process has one for each origin, shared by its workers. It closes by a question that costs
//! nothing, never by a paid call: nobody's call is the experiment.

pub mod layer;
pub mod probe;
pub(super) mod seen;
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
    /// How many calls in a row must fail, of all teams together.
    pub consecutive_failures: u32,
    /// How long after that the upstream is left alone before it is probed for the first time.
    pub open_for: Duration,
    /// The same when probe after probe has failed: the time doubles up to this.
    pub open_for_max: Duration,
}

/// What was seen of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It answered, and be it with a refusal: a 4xx, a full window, a key that it does not know.
    Alive,
    /// It could not be reached, did not answer in time, broke off, or what answered is only its platform (502, 503,
    /// 504, a page).
    Failed,
    /// It answered 500 in its own words. It is there, and may well do everyone else's work: that the input of one team
    /// makes a model fail must not close it for all. So each team's count as one, however many there are.
    ErrorOfItsOwn,
}

/// The breaker of one origin. What it knows outlives a reload that does not change the origin.
pub struct Breaker {
    /// `None`: it never opens.
    settings: Option<Settings>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// When the upstream is probed next, in microseconds of the clock's elapsed time, and one more; 0 while it is
    /// closed. All that a call looks at.
    open: AtomicU64,
    /// Whether anything is to be forgotten when a call is answered: all that a good answer looks at.
    troubled: AtomicBool,
    streak: Mutex<Streak>,
    opened: Notify,
}

/// Failures since the last good answer.
#[derive(Default)]
struct Streak {
    failures: u32,
    /// Whose calls the upstream answered with an error of its own: each team's counts once. No more than the failures.
    teams: HashSet<TeamId>,
    /// How often it was left alone: sets how long it is the next time.
    openings: u32,
}

impl Breaker {
    /// A closed breaker, or the one before with other settings.
    #[must_use]
    pub fn new(settings: Option<Settings>, before: Option<&Self>) -> Self {
        Self { settings, state: before.map(|before| Arc::clone(&before.state)).unwrap_or_default() }
    }

    /// Whether a call may be sent; `now` is the clock's elapsed time.
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

    /// How long until the upstream is probed, nothing when that is due; `None` while it is closed.
    #[must_use]
    pub fn until_probe(&self, now: Duration) -> Option<Duration> {
        let due = self.state.open.load(Ordering::Acquire).checked_sub(1)?;
        self.settings.map(|_| Duration::from_micros(due).saturating_sub(now))
    }

    /// Waits until it opens; for one who waits.
    pub async fn opened(&self) {
        self.state.opened.notified().await;
    }

    /// Takes note of how a team's call ended. `true` when it opens by that.
    pub fn note(&self, team: &TeamId, seen: Seen, now: Duration) -> bool {
        let Some(settings) = &self.settings else { return false };
        match seen {
            Seen::Alive => {
                self.forget();
                false
            }
            Seen::Failed | Seen::ErrorOfItsOwn => self.count(settings, team, seen, now),
        }
    }

    /// The probe was answered: calls go out again. How long it was left alone is only forgotten when a call is answered
    /// well.
    pub(super) fn close(&self) {
        let mut streak = self.streak();
        streak.failures = 0;
        streak.teams.clear();
        self.state.open.store(0, Ordering::Release);
    }

    /// The probe failed: the upstream is left alone for longer. For how long.
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

    fn count(&self, settings: &Settings, team: &TeamId, seen: Seen, now: Duration) -> bool {
        let mut streak = self.streak();
        // Calls that were under way when it opened say nothing new.
        let is_open = self.state.open.load(Ordering::Acquire) > 0;
        if is_open || (seen == Seen::ErrorOfItsOwn && !streak.teams.insert(team.clone())) {
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
        tracing::warn!(failures, ?open_for, "the upstream fails again and again: calls are refused until it answers");
        self.state.opened.notify_one();
        true
    }

    fn cool_down(&self, settings: &Settings, streak: &mut Streak, now: Duration) -> Duration {
        let doubled = 2_u32.checked_pow(streak.openings).unwrap_or(u32::MAX);
        let open_for = jittered(settings.open_for.saturating_mul(doubled).min(settings.open_for_max));
        streak.openings = streak.openings.saturating_add(1);
        let due = u64::try_from((now + open_for).as_micros()).unwrap_or(u64::MAX - 1);
        self.state.open.store(due + 1, Ordering::Release);
        open_for
    }

    fn streak(&self) -> MutexGuard<'_, Streak> {
        self.state.streak.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between half of a time and all of it, so that replicas do not come back all at once.
fn jittered(time: Duration) -> Duration {
    let share = getrandom::u32().map_or(1.0, |drawn| 0.5 + f64::from(drawn) / f64::from(u32::MAX) / 2.0);
    time.mul_f64(share)
}
