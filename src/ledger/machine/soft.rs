//! Finds calls that bring a budget to its soft threshold.

use super::judgement::Moment;
use super::record::ScopeRecord;
use super::records::Records;
use super::state::Machine;
use crate::credits::Credits;
use crate::ledger::soft::mark;
use crate::ledger::{Crossing, Level};
use crate::team::TeamId;
use crate::team::limit::Shape;

impl<R: Records> Machine<'_, R> {
    /// Checks the thresholds of a level's budgets after a reservation.
    pub(in crate::ledger) fn note_crossings(
        &mut self,
        team: &TeamId,
        level: &Level,
        record: &mut ScopeRecord,
        moment: &Moment,
    ) {
        for limit in level.limits.iter() {
            let (Some(soft), Shape::Window(period, _)) = (limit.soft, limit.kind.shape()) else {
                continue;
            };
            let status = moment.judge(&level.scope, limit, record, Credits::ZERO).status;
            let threshold = soft.of(status.max);
            if threshold == 0 || status.used.saturating_add(status.reserved) < threshold {
                continue;
            }
            let windows = &moment.windows;
            if record.mark_crossed(
                period,
                mark(period, &windows.day, &windows.month, record.topped_up()),
            ) {
                self.crossed().push((team.clone(), Crossing::of(&status, soft, moment.now)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory_records::{Ledger, call, of, team};
    use crate::ledger::Scope;
    use crate::team::{Limit, LimitKind, Share};

    /// The calls at these prices that bring a budget to four fifths, and what is reserved then.
    fn crossed_by(limit: Limit, prices: &[u64]) -> Vec<Vec<u64>> {
        let limit = Limit { soft: Share::from_millionths(800_000), ..limit };
        let mut ledger = Ledger::new();
        let mut crossed = |price| {
            let mut machine = ledger.machine();
            machine.admit(&call([of(Scope::Team, [limit])], price)).unwrap();
            std::mem::take(machine.crossed())
        };
        let each = prices.iter().map(|price| crossed(*price));
        each.map(|crossed| {
            assert!(
                crossed.iter().all(|(of, crossing)| *of == team() && crossing.kind == limit.kind)
            );
            crossed.iter().map(|(_, crossing)| crossing.reserved.micros()).collect()
        })
        .collect()
    }

    #[test]
    fn a_budget_notice_is_sent_once_at_its_exact_threshold() {
        let day = Limit::new(LimitKind::CreditsPerDay, 100);
        assert_eq!(crossed_by(day, &[79, 1, 1]), [vec![], vec![80], vec![]]);
        assert_eq!(crossed_by(day, &[85, 1]), [vec![85], vec![]]);
    }

    #[test]
    fn a_shadow_budget_of_zero_sends_no_notice() {
        let nothing = Limit { shadow: true, ..Limit::new(LimitKind::CreditsPerMonth, 0) };
        assert_eq!(crossed_by(nothing, &[0, 5]), [vec![0; 0], vec![]]);
    }
}
