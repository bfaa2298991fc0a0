//! The lines that say why a credential was refused: for whoever has to mend it, and so few that a flood of bad ones
//! fills no disk.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::failed_check::FailedCheck;

/// How many lines each check may have in [`WINDOW`].
const LINES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// How many lines were written of late, check by check: those of one that everybody fails leave room for the others.
#[derive(Debug, Default)]
pub(super) struct RefusalLog([Mutex<Window>; FailedCheck::ALL.len()]);

/// Why a credential was refused. What it says of itself is shortened and written out.
#[derive(Debug)]
pub(super) struct Reason {
    /// The issuer it says it is of, if it does.
    pub(super) issuer: String,
    /// The key it says it was signed with; of a gateway key the public id.
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
    /// Whether a line may be written now, and how many were left out before it; times are those of
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

    #[test]
    fn a_flood_leaves_ten_lines_a_minute_of_each_check_and_says_how_many_are_missing() {
        let (log, second) = (RefusalLog::default(), Duration::from_secs(1));
        let written = (0..1000).filter(|_| log.admits(FailedCheck::Form, second) == Some(0)).count();
        assert_eq!(written, 10);
        assert_eq!(log.admits(FailedCheck::Audience, second), Some(0), "others have room");
        assert_eq!(log.admits(FailedCheck::Form, 60 * second), None);
        assert_eq!(log.admits(FailedCheck::Form, 61 * second), Some(991));
        assert_eq!(log.admits(FailedCheck::Form, 61 * second), Some(0));
    }
}
