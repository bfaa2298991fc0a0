//! While the store is known to be down, operations fail at once instead of each waiting for its deadline.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Observer, Outage};

/// How often one operation is let through to see whether the store is back.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// Knows whether the store answers.
pub(crate) struct Breaker {
    state: Mutex<State>,
    observer: Arc<dyn Observer>,
}

struct State {
    /// What was last told to the observer.
    up: Option<bool>,
    /// Why it is down, and when it was last tried.
    down: Option<(Outage, Instant)>,
    /// When it was last found to be back.
    back: Option<Instant>,
}

impl Breaker {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Self {
        Self { state: Mutex::new(State { up: None, down: None, back: None }), observer }
    }

    /// Whether an operation may try. Refused while the store is down, except one in [`PROBE_EVERY`].
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

    /// Whether the store has not been away for the last while: then whoever is alive has put off what it still holds.
    pub(crate) fn is_settled(&self, a_while: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.down.is_none() && state.back.is_none_or(|back| back.elapsed() >= a_while)
    }

    /// The store did as asked.
    pub(crate) fn succeeded(&self) {
        self.note(true, None);
    }

    /// The store did not do as asked. One that refuses still answers quickly: only silence keeps others from trying.
    pub(crate) fn failed(&self, why: &Outage) {
        match why {
            Outage::TimedOut | Outage::Unreachable(_) => self.note(false, Some((why.clone(), Instant::now()))),
            Outage::Refused(_) => self.note(false, None),
            // It answers, and knows that it must not serve this team.
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
    fn while_the_store_is_down_one_operation_in_a_tenth_of_a_second_tries() {
        let breaker = Breaker::new(Arc::new(Unobserved));
        assert!(breaker.enter().is_ok());
        breaker.failed(&Outage::TimedOut);
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
        breaker.failed(&Outage::TimedOut);
        assert!(!breaker.is_settled(Duration::ZERO));
        breaker.succeeded();
        assert!(breaker.is_settled(Duration::ZERO) && !breaker.is_settled(a_while));
    }

    #[test]
    fn a_store_that_refuses_is_asked_again_at_once() {
        let breaker = Breaker::new(Arc::new(Unobserved));
        breaker.failed(&Outage::Refused("OOM".to_owned()));
        assert!(breaker.enter().is_ok());
    }
}
