//! How far a team's history in the store has come, and what the store says when it knows less of it than its caller.

/// A point in a team's history: changes are numbered, and every time some are lost a later epoch begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    /// When the epoch began, in microseconds of the store's time; 0: nothing is known yet.
    pub(super) epoch: u64,
    /// The number of the last change.
    pub(super) seq: u64,
}

/// The store has lost some of a team's history, now or a while ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// Where the store stands now, under its new epoch.
    pub(super) now: Point,
    /// Whether nothing is admitted yet.
    pub(super) closed: bool,
    /// Nothing of earlier epochs than this is in the store.
    pub(super) origin: u64,
    /// The last change that survived.
    pub(super) kept: Point,
    /// What calls hold that were admitted in earlier epochs than this, and have not ended, is not in the store.
    pub(super) records_from: u64,
}

impl Loss {
    /// Whether the store lacks a change that was made at this point.
    pub(super) fn lacks(&self, point: Point) -> bool {
        point.epoch < self.now.epoch && (point > self.kept || point.epoch < self.origin)
    }

    /// Whether the store lacks what a call holds that is running and was admitted at this point.
    pub(super) fn lacks_running(&self, admitted: Point) -> bool {
        self.lacks(admitted) || admitted.epoch < self.records_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn point(epoch: u64, seq: u64) -> Point {
        Point { epoch, seq }
    }

    #[test]
    fn of_an_older_copy_what_came_after_it_is_lacking() {
        let loss = Loss { now: point(9, 50), closed: true, origin: 5, kept: point(5, 50), records_from: 0 };
        assert!(loss.lacks(point(5, 51)) && !loss.lacks(point(5, 50)), "its last change is in it");
        assert!(!loss.lacks(point(9, 51)), "what was brought since is there");
    }

    #[test]
    fn of_an_empty_store_all_is_lacking() {
        let loss = Loss { now: point(9, 0), closed: true, origin: 9, kept: point(0, 0), records_from: 0 };
        assert!(loss.lacks(point(5, 1)) && !loss.lacks(point(9, 1)));
    }

    #[test]
    fn of_a_store_that_began_anew_unnoticed_what_was_before_is_lacking_and_what_came_since_is_not() {
        let loss = Loss { now: point(9, 7), closed: true, origin: 8, kept: point(8, 7), records_from: 0 };
        assert!(loss.lacks(point(5, 3)) && !loss.lacks(point(8, 3)));
    }

    #[test]
    fn of_a_store_that_lost_what_is_held_only_running_calls_are_lacking() {
        let loss = Loss { now: point(9, 50), closed: true, origin: 5, kept: point(5, 50), records_from: 9 };
        assert!(loss.lacks_running(point(5, 50)) && !loss.lacks(point(5, 50)));
        assert!(!loss.lacks_running(point(9, 51)), "what was brought since is there");
    }
}
