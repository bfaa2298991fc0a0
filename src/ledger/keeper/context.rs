//! What all batches of a process share: the keeper, its time, and the rules.

use std::sync::Arc;
use std::time::Duration;

use super::abandoned::Abandoned;
use super::work;
use crate::ledger::machine::{Ended, Rules};
use crate::ledger::{Crossing, Observer, soft};
use crate::team::TeamId;

/// What all batches of a process share.
pub(in crate::ledger) struct Context<'a, K, T> {
    pub(in crate::ledger) keeper: &'a K,
    pub(in crate::ledger) time: &'a T,
    pub(in crate::ledger) rules: &'a Rules,
    pub(in crate::ledger) loss: LossRules,
    pub(in crate::ledger) observer: &'a dyn Observer,
    pub(in crate::ledger) abandoned: &'a Arc<Abandoned>,
}

impl<K, T> Context<'_, K, T> {
    /// Reports abandoned calls that were ended, and budgets that reached their thresholds.
    pub(super) fn report(&self, team: &TeamId, swept: Vec<Ended>, crossed: &[Crossing]) {
        for ended in swept {
            self.observer.swept(team, ended.swept, &ended.charges);
        }
        soft::report(self.observer, team, crossed);
    }
}

/// After so many refusals in a row the other processes are asked to let this one go first.
pub(super) const REFUSED_MAX: usize = 2;

/// What happens after a loss.
#[derive(Clone, Copy, Debug)]
pub(in crate::ledger) struct LossRules {
    /// How long the other processes have to restore what they know.
    pub(in crate::ledger) gather: Duration,
    /// The team stays closed until an operator accepts what is left.
    pub(in crate::ledger) hold: bool,
}

/// The deadline of a call that is opened or renewed at a moment, in microseconds of Unix time.
pub(super) fn deadline(now: i64, rules: &Rules) -> i64 {
    now.saturating_add(i64::try_from(rules.reservation_ttl.as_micros()).unwrap_or(i64::MAX))
}

/// The earliest deadline of anything opened or renewed after a moment of the keeper's time.
pub(super) fn first_due(now: i64, rules: &Rules) -> i64 {
    deadline(now, rules).saturating_sub(work::under_way(rules))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::machine::memory_records::{Ledger, NOW, SECOND, TTL};

    /// What was worked out a while ago may be written now, with a deadline from then.
    #[test]
    fn nothing_that_others_write_is_due_at_once() {
        let rules = Ledger::new().rules;
        assert_eq!(
            (deadline(NOW, &rules), first_due(NOW, &rules)),
            (NOW + TTL, NOW + TTL - SECOND)
        );
    }
}
