//! Circuit breaker of a store: while it is down, operations fail at once instead of each waiting
//! for its deadline.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Observer, Outage};

/// How often one operation is let through as a probe.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// Tracks whether the store answers.
pub(crate) struct Breaker {
    state: Mutex<State>,
    /// Number of answers so far.
    answers: AtomicU64,
    observer: Arc<dyn Observer>,
}

struct State {
    /// The last report to the observer.
    up: Option<bool>,
    /// Why it is down, and when it was last probed.
    down: Option<(Outage, Instant)>,
    /// When it was last found to be up again.
    back: Option<Instant>,
}

impl Breaker {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Self {
        let state = Mutex::new(State { up: None, down: None, back: None });
        Self { state, answers: AtomicU64::new(0), observer }
    }

    /// Number of answers so far, for [`Breaker::failed`].
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Lets an operation through, or refuses it while the store is down, except one in
    /// [`PROBE_EVERY`].
    pub(crate) fn enter(&self) -> Result<(), Outage> {
        self.enter_at(Instant::now())
    }

    fn enter_at(&self, now: Instant) -> Result<(), Outage> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((why, tried)) = &mut state.down {
            if now.saturating_duration_since(*tried) < PROBE_EVERY {
                return Err(why.clone());
            }
            *tried = now;
        }
        Ok(())
    }

    /// Whether the store has been up for this long. Then every live replica has extended the
    /// deadlines of what it holds.
    pub(crate) fn is_settled(&self, a_while: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.down.is_none() && state.back.is_none_or(|back| back.elapsed() >= a_while)
    }

    /// Notes that an operation succeeded.
    pub(crate) fn succeeded(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.note(true, None);
    }

    /// Notes that an operation failed, and how many answers there were when it began. A store that
    /// refuses, or answers others meanwhile, is not down: only silence opens the breaker.
    pub(crate) fn failed(&self, why: &Outage, answers: u64) {
        match why {
            Outage::TimedOut if self.answers() > answers => {}
            Outage::TimedOut | Outage::Unreachable(_) => {
                self.note(false, Some((why.clone(), Instant::now())))
            }
            Outage::Refused(_) => self.note(false, None),
            // The store is up; it has only lost data of this team.
            Outage::Lost => self.note(true, None),
        }
    }

    fn note(&self, up: bool, down: Option<(Outage, Instant)>) {
        let changed = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let was_down = std::mem::replace(&mut state.down, down).is_some();
            if was_down && state.down.is_none() {
                state.back = Some(Instant::now());
            }
            state.up.replace(up) != Some(up)
        };
        if changed {
            self.observer.up(up);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Unobserved;

    #[test]
    fn a_failing_store_is_tried_ten_times_a_second() {
        let breaker = Breaker::new(Arc::new(Unobserved));
        assert!(breaker.enter().is_ok());
        breaker.failed(&Outage::TimedOut, 0);
        assert!(matches!(breaker.enter(), Err(Outage::TimedOut)));
        let later = Instant::now() + PROBE_EVERY;
        assert!(breaker.enter_at(later).is_ok());
        assert!(breaker.enter_at(later).is_err());
        breaker.succeeded();
        assert!(breaker.enter().is_ok() && breaker.enter().is_ok());
    }

    #[test]
    fn a_store_that_is_back_is_settled_after_a_while() {
        let breaker = Breaker::new(Arc::new(Unobserved));
        let a_while = Duration::from_secs(3600);
        assert!(breaker.is_settled(a_while));
        breaker.failed(&Outage::TimedOut, 0);
        assert!(!breaker.is_settled(Duration::ZERO));
        breaker.succeeded();
        assert!(breaker.is_settled(Duration::ZERO) && !breaker.is_settled(a_while));
    }

    #[test]
    fn a_store_that_answers_others_meanwhile_is_not_down() {
        let breaker = Breaker::new(Arc::new(Unobserved));
        let answers = breaker.answers();
        breaker.succeeded();
        breaker.failed(&Outage::TimedOut, answers);
        assert!(breaker.enter().is_ok() && breaker.enter().is_ok());
        breaker.failed(&Outage::TimedOut, breaker.answers());
        assert!(breaker.enter().is_err(), "nothing was heard since that one began");
    }

    #[test]
    fn a_store_that_refuses_is_asked_again_at_once() {
        let breaker = Breaker::new(Arc::new(Unobserved));
        breaker.failed(&Outage::Refused("OOM".to_owned()), 0);
        assert!(breaker.enter().is_ok());
    }
}
