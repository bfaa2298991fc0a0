//! The one clock: wall time and elapsed time, which tests can set and move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Tells the time. Cheap to clone; clones of a moved clock move together.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { started: Instant },
    Moved { micros: Arc<AtomicI64> },
}

impl Clock {
    /// The machine's own clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System { started: Instant::now() })
    }

    /// A clock that stands at `start` until it is moved.
    #[must_use]
    pub fn moved(start: Timestamp) -> Self {
        Self(Source::Moved { micros: Arc::new(AtomicI64::new(start.as_microsecond())) })
    }

    /// Wall-clock time in whole microseconds, as the ledger's stores tell it: for windows, expiry and the records.
    /// Never used to measure how long something took.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let micros = match &self.0 {
            Source::System { .. } => Timestamp::now().as_microsecond(),
            Source::Moved { micros } => micros.load(Ordering::SeqCst),
        };
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
    }

    /// Time since the clock was made; never goes back while the system runs.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Source::System { started } => started.elapsed(),
            Source::Moved { micros } => {
                Duration::from_micros(u64::try_from(micros.load(Ordering::SeqCst)).unwrap_or_default())
            }
        }
    }

    /// Moves a clock made by [`Clock::moved`] to another time; the machine's own clock cannot be moved.
    pub fn set(&self, to: Timestamp) {
        if let Source::Moved { micros } = &self.0 {
            micros.store(to.as_microsecond(), Ordering::SeqCst);
        }
    }
}

/// A time as people read it in a log: to the millisecond.
#[must_use]
pub fn readable(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
