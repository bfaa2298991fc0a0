//! What the log says once in a while, however often it happens.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often the log says the same.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Says something once in a while, and then how many times it happened.
#[derive(Debug, Default)]
pub struct Sparsely(Mutex<(Option<Instant>, u64)>);

impl Sparsely {
    /// It happened. How many times since it was last said, when it is to be said now.
    pub fn say(&self) -> Option<u64> {
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
    async fn the_log_says_the_same_once_in_a_while_and_how_often_it_happened() {
        let sparsely = Sparsely::default();
        assert_eq!([sparsely.say(), sparsely.say(), sparsely.say()], [Some(1), None, None]);
        tokio::time::advance(SAID_EVERY).await;
        assert_eq!(sparsely.say(), Some(3));
    }
}
