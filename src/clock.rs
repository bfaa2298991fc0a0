//! Clock of wall time and elapsed time, which tests can set and move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serializer;

/// A clock. Cheap to clone; clones of a moved clock move together.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { started: Instant },
    Moved { micros: Arc<AtomicI64> },
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System { started: Instant::now() })
    }

    /// A clock that stays at `start` until it is moved.
    #[must_use]
    pub fn moved(start: Timestamp) -> Self {
        Self(Source::Moved { micros: Arc::new(AtomicI64::new(start.as_microsecond())) })
    }

    /// Wall-clock time in whole microseconds, the precision of the ledger's stores: for windows,
    /// expiry and records. Never used to measure durations.
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
            Source::Moved { micros } => Duration::from_micros(
                u64::try_from(micros.load(Ordering::SeqCst)).unwrap_or_default(),
            ),
        }
    }

    /// Sets a clock made by [`Clock::moved`]. The machine's clock cannot be set.
    pub fn set(&self, to: Timestamp) {
        if let Source::Moved { micros } = &self.0 {
            micros.store(to.as_microsecond(), Ordering::SeqCst);
        }
    }
}

/// Writes a moment to the millisecond, always with three digits: an answer to HEAD states the
/// length of a body that is made a moment later.
///
/// # Errors
/// The serializer's own.
pub fn in_millis<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{moment:.3}"))
}

/// A duration rounded for a log: to the millisecond.
#[must_use]
pub fn readable(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde::Serialize;

    #[derive(Serialize)]
    struct View(#[serde(serialize_with = "super::in_millis")] Timestamp);

    #[test]
    fn a_moment_is_written_with_three_digits() {
        for (micros, written) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (450_000, "1970-01-01T00:00:00.450Z"),
            (450_999, "1970-01-01T00:00:00.450Z"),
        ] {
            let moment = Timestamp::from_microsecond(micros).unwrap();
            assert_eq!(serde_json::to_value(View(moment)).unwrap(), written);
        }
    }
}
