//! A loss: the store was emptied, or went back to an older copy of the records.
//!
//! A loss begins a new epoch, in which the team is closed at first: every process restores what it
//! knows. Then the team opens, and unclaimed calls are judged (see `unclaimed`).
//!
//! A new server is a copy that may lack the last changes without anyone there knowing. It begins an
//! epoch too, in which the team stays open: what is counted from then on is kept apart from what
//! the copy lacks, which may be restored later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::revision::Revision;

/// How many earlier epochs are kept.
const EPOCHS_MAX: usize = 8;
/// How long after a loss late restores are still merged, in microseconds. By then the windows that
/// they count in are over.
const RESTORED_FOR: i64 = 86_400_000_000;

/// The last loss of a team.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct Loss {
    /// The team is closed: nothing is admitted or settled.
    pub(in crate::ledger) closed: bool,
    /// When it was noticed, in microseconds of the keeper's time.
    pub(in crate::ledger) noticed_at: i64,
    /// The last surviving change of each earlier epoch; an epoch without an entry is lost as a
    /// whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::ledger) kept: BTreeMap<u64, u64>,
    /// The last step of each process in each of these epochs, as far as it survives.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::ledger) last_steps: BTreeMap<u64, Vec<u64>>,
    /// How far the team's scope was restored of each earlier epoch when the team opened: what
    /// unclaimed calls held up to then was given to calls that stand for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::ledger) covered: BTreeMap<u64, u64>,
    /// Scopes were restored after the team had opened. What they hold for unclaimed calls is yet to
    /// be judged, because the process that restored them may have died. In a closed team: so it was
    /// before the loss, and what is restored may lack what open calls hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::ledger) unjudged: bool,
    /// The epoch that the loss began, when later takeovers have begun others; 0: none has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(in crate::ledger) noticed_in: u64,
    /// The count of marked calls when the last copy took over.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(in crate::ledger) marks_kept: u64,
}

// serde passes the field by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A number before every epoch.
const NEVER: u64 = 1;

impl Loss {
    /// The loss noticed now; `found` is the surviving revision, and `before` the last loss that its
    /// record knows.
    pub(in crate::ledger) fn noticed(
        found: Option<Revision>,
        before: Option<&Self>,
        now: i64,
    ) -> Self {
        let mut loss = Self { closed: true, noticed_at: now, ..Self::default() };
        if let Some(found) = found {
            if let Some(Self { kept, last_steps, covered, .. }) = before.cloned() {
                loss = Self { kept, last_steps, covered, ..loss };
            }
            loss.kept.insert(found.epoch, found.number);
            loss.last_steps.insert(found.epoch, found.last_steps().collect());
        }
        if loss.kept.len() > EPOCHS_MAX {
            loss.kept.pop_first();
        }
        if loss.last_steps.len() > EPOCHS_MAX {
            loss.last_steps.pop_first();
        }
        loss
    }

    /// A takeover by a copy that is not known to lack anything; `found` and `marks` say how far the
    /// copy has come.
    pub(in crate::ledger) fn taken_over(
        found: Revision,
        before: Option<&Self>,
        now: i64,
        marks: u64,
    ) -> Self {
        let noticed_in = before.map_or(NEVER, |before| before.began(found));
        let unjudged = before.is_some_and(|before| before.unjudged);
        let noticed = Self::noticed(Some(found), before, now);
        Self { closed: false, noticed_in, marks_kept: marks, unjudged, ..noticed }
    }

    /// The epoch that the loss began; `is` is the revision of the record with this loss.
    const fn began(&self, is: Revision) -> u64 {
        if self.noticed_in == 0 { is.epoch } else { self.noticed_in }
    }

    /// Whether the loss was noticed after a process last saw the records, at an earlier epoch.
    pub(in crate::ledger) const fn is_news(&self, seen: Revision, is: Revision) -> bool {
        self.began(is) > seen.epoch
    }

    /// Whether a copy that took over lacks some of these marks.
    pub(in crate::ledger) const fn lacks_marks(&self, marks: u64) -> bool {
        self.noticed_in > 0 && self.marks_kept < marks
    }

    /// Whether a change made at this revision of an earlier epoch is missing.
    pub(in crate::ledger) fn lacks(&self, at: Revision) -> bool {
        self.kept.get(&at.epoch).is_none_or(|last| at.number > *last)
    }

    /// Whether a step of an earlier epoch was written, and has survived, if it is the last of its
    /// process there.
    pub(in crate::ledger) fn includes(&self, step: Revision) -> bool {
        self.last_steps.get(&step.epoch).is_some_and(|last| last.contains(&step.name))
    }

    /// Whether the amounts held by a call admitted at this revision were given to a standing call
    /// when the team opened.
    pub(in crate::ledger) fn covers(&self, admitted: Revision) -> bool {
        self.lacks(admitted)
            && self.covered.get(&admitted.epoch).is_some_and(|last| admitted.number <= *last)
    }

    /// Whether it was noticed so long after a call's deadline that the call matters no more.
    pub(in crate::ledger) const fn is_long_after(&self, deadline: i64) -> bool {
        self.noticed_at.saturating_sub(deadline) > RESTORED_FOR
    }

    /// Whether the loss is so long ago that late restores are ignored.
    pub(in crate::ledger) const fn is_over(&self, now: i64) -> bool {
        now.saturating_sub(self.noticed_at) > RESTORED_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::machine::revision::name_of_step;

    const fn at(epoch: u64, number: u64) -> Revision {
        Revision::new(epoch, number, 0)
    }

    #[test]
    fn of_an_older_copy_what_came_after_it_is_lacking() {
        let loss = Loss::noticed(Some(at(5, 50)), None, 9);
        assert!(loss.closed && loss.lacks(at(5, 51)) && !loss.lacks(at(5, 50)));
    }

    #[test]
    fn of_an_empty_store_all_is_lacking() {
        let before = Loss::noticed(Some(at(5, 50)), None, 9);
        assert!(Loss::noticed(None, Some(&before), 10).lacks(at(5, 1)));
    }

    #[test]
    fn after_an_unnoticed_restart_only_what_was_before_is_lacking() {
        let loss = Loss::noticed(Some(at(8, 7)), None, 9);
        assert!(loss.lacks(at(5, 3)) && !loss.lacks(at(8, 3)));
    }

    #[test]
    fn a_promoted_copy_that_lacks_nothing_seen_is_no_loss() {
        let copy = Loss::taken_over(at(5, 50), None, 9, 3);
        assert!(!copy.closed && !copy.is_news(at(5, 60), at(9, 51)));
        assert!(
            copy.lacks(at(5, 51))
                && !copy.lacks(at(5, 50))
                && copy.lacks_marks(4)
                && !copy.lacks_marks(3)
        );
    }

    #[test]
    fn a_loss_is_still_news_after_a_promotion() {
        let loss = Loss::noticed(None, None, 9);
        let copy = Loss::taken_over(at(9, 4), Some(&loss), 12, 0);
        assert!(copy.is_news(at(5, 60), at(12, 5)) && !copy.is_news(at(9, 2), at(12, 5)));
        let next = Loss::taken_over(at(12, 6), Some(&copy), 15, 0);
        assert!(next.is_news(at(5, 60), at(15, 7)) && !next.is_news(at(9, 2), at(15, 7)));
    }

    #[test]
    fn what_an_earlier_loss_lacked_survives_the_next_one() {
        let before = Loss::noticed(Some(at(5, 50)), None, 9);
        let loss = Loss::noticed(Some(at(9, 4)), Some(&before), 10);
        assert!(
            !loss.lacks(at(5, 50))
                && loss.lacks(at(5, 51))
                && !loss.lacks(at(9, 4))
                && loss.lacks(at(9, 5))
        );
    }

    #[test]
    fn of_many_losses_the_last_eight_copies_are_remembered() {
        let noticed = |before: Option<Loss>, epoch| {
            Some(Loss::noticed(Some(at(epoch, 1)), before.as_ref(), 9))
        };
        let loss = (1..=12).fold(None, noticed).unwrap_or_default();
        assert_eq!(loss.kept.into_keys().collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10, 11, 12]);
        assert!(loss.last_steps.into_keys().eq(5..=12));
    }

    #[test]
    fn of_an_older_copy_the_last_steps_are_known() {
        let steps = [name_of_step(1, 1), name_of_step(2, 1), name_of_step(2, 2)];
        let found =
            steps[1..].iter().fold(Revision::new(5, 50, steps[0]), |is, name| is.next(*name));
        let before = Loss::noticed(Some(found), None, 9);
        let includes =
            |loss: &Loss, epoch| steps.map(|name| loss.includes(Revision::new(epoch, 52, name)));
        assert_eq!(includes(&before, 5), [true, false, true]);
        assert_eq!(includes(&before, 6), [false; 3], "the epoch is lost as a whole");
        let next = Loss::noticed(Some(at(9, 60)), Some(&before), 10);
        assert_eq!(includes(&next, 5), [true, false, true]);
        assert_eq!(includes(&Loss::noticed(None, Some(&before), 10), 5), [false; 3]);
    }

    #[test]
    fn only_a_known_and_lacking_call_was_given_to_another() {
        let loss = Loss { covered: [(5, 60)].into(), ..Loss::noticed(Some(at(5, 50)), None, 9) };
        assert!(
            loss.covers(at(5, 60)) && !loss.covers(at(5, 61)),
            "it came after the last that was known"
        );
        assert!(
            !loss.covers(at(5, 50)) && !loss.covers(at(6, 1)),
            "it is there, or nothing was known of its epoch"
        );
    }

    #[test]
    fn scopes_are_merged_up_to_a_day_after_the_loss() {
        let loss = Loss::noticed(None, None, 9);
        assert!(!loss.is_over(9 + RESTORED_FOR) && loss.is_over(9 + RESTORED_FOR + 1));
    }

    #[test]
    fn a_call_matters_up_to_a_day_after_its_deadline() {
        let loss = Loss::noticed(None, None, 9 + RESTORED_FOR);
        assert!(!loss.is_long_after(9) && loss.is_long_after(8));
    }

    #[test]
    fn a_loss_is_written_sparsely_and_reads_back() {
        let written = |loss: &Loss| serde_json::to_string(loss).unwrap();
        assert_eq!(written(&Loss::default()), r#"{"closed":false,"noticed_at":0}"#);
        let loss = Loss { unjudged: true, ..Loss::taken_over(at(5, 50), None, 9, 3) };
        assert_eq!(serde_json::from_str::<Loss>(&written(&loss)).unwrap(), loss);
    }

    #[test]
    fn a_copy_knows_of_the_loss_before_it() {
        let loss =
            Loss { covered: [(5, 60)].into(), unjudged: true, ..Loss::noticed(None, None, 9) };
        let copy = Loss::taken_over(at(9, 4), Some(&loss), 12, 0);
        assert_eq!((copy.covered, copy.unjudged), (loss.covered.clone(), true));
        let older = Loss::noticed(Some(at(9, 4)), Some(&loss), 12);
        assert_eq!((older.covered, older.unjudged), (loss.covered.clone(), false));
        let emptied = Loss::noticed(None, Some(&loss), 12);
        assert!(!emptied.covers(at(5, 60)), "what stood for it is lost as well");
        assert!(!loss.lacks_marks(3), "no copy has taken over that could lack them");
    }
}
