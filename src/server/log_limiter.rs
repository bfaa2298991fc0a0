//! Log lines at a limited rate, with how often their event happened.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Least time between two log lines.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Counts an event, and says when to log it.
#[derive(Debug, Default)]
pub struct LogLimiter(Mutex<(Option<Instant>, u64)>);

impl LogLimiter {
    /// Counts the event. Returns how often it happened since the last log line, when the next is
    /// due.
    pub fn count(&self) -> Option<u64> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, times) = &mut *guard;
        *times += 1;
        if last.is_some_and(|last| last.elapsed() < SAID_EVERY) {
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_repeated_message_is_logged_at_intervals_with_its_count() {
        let log_limiter = LogLimiter::default();
        assert_eq!(
            [log_limiter.count(), log_limiter.count(), log_limiter.count()],
            [Some(1), None, None]
        );
        tokio::time::advance(SAID_EVERY).await;
        assert_eq!(log_limiter.count(), Some(3));
    }
}
