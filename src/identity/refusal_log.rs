//! Log lines that say why a credential was refused, at a limited rate, so that a flood of bad ones
//! does not fill a disk.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::failed_check::FailedCheck;

/// Most lines of one check in [`WINDOW`].
const LINES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// Recent lines of each check. Counted apart, so that a check that everyone fails leaves room for
/// the others.
#[derive(Debug, Default)]
pub(super) struct RefusalLog([Mutex<Window>; FailedCheck::ALL.len()]);

/// Why a credential was refused. Quotes from it are shortened and escaped.
#[derive(Debug)]
pub(super) struct Reason {
    /// The issuer that it names.
    pub(super) issuer: String,
    /// The key that it names; for a gateway key its public id.
    pub(super) kid: String,
    /// What was wrong.
    pub(super) why: String,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    began: Option<Duration>,
    lines: u32,
    left_out: u64,
}

impl RefusalLog {
    /// Whether to write a line now, and how many were left out before it. Times are those of
    /// [`crate::clock::Clock::elapsed`].
    pub(super) fn admits(&self, check: FailedCheck, now: Duration) -> Option<u64> {
        let mut window = self.0.get(check.index())?.lock().unwrap_or_else(PoisonError::into_inner);
        if window.began.is_none_or(|began| now >= began + WINDOW) {
            *window = Window { began: Some(now), lines: 0, left_out: window.left_out };
        }
        if window.lines >= LINES_MAX {
            window.left_out += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines say how many others were left out.
    #[test]
    fn a_flood_logs_ten_lines_a_minute_for_each_check() {
        let (log, second) = (RefusalLog::default(), Duration::from_secs(1));
        let written =
            (0..1000).filter(|_| log.admits(FailedCheck::Form, second) == Some(0)).count();
        assert_eq!(written, 10);
        assert_eq!(log.admits(FailedCheck::Audience, second), Some(0), "others have room");
        assert_eq!(log.admits(FailedCheck::Form, 60 * second), None);
        assert_eq!(log.admits(FailedCheck::Form, 61 * second), Some(991));
        assert_eq!(log.admits(FailedCheck::Form, 61 * second), Some(0));
    }
}
