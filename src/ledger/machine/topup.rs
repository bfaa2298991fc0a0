//! Adds to a prepaid budget, once for each id.

use jiff::Timestamp;

use super::record::{ScopeName, TopUpRecord};
use super::records::Records;
use super::state::Machine;
use crate::credits::Credits;
use crate::ledger::{TopUp, ToppedUp};
use crate::team::TeamId;

impl<R: Records> Machine<'_, R> {
    pub(in crate::ledger) fn top_up(
        &mut self,
        team: &TeamId,
        wanted: &TopUp,
    ) -> Result<ToppedUp, R::Fault> {
        let record =
            TopUpRecord { scope: ScopeName::from(&wanted.scope), credits: wanted.credits.micros() };
        let mut scope = self.records().scope(team, &record.scope)?;
        let before = Credits::from_micros(scope.topped_up());
        match self.records().top_up(team, &wanted.id)? {
            Some(known) if known == record => return Ok(ToppedUp::Before(before)),
            Some(_) => return Ok(ToppedUp::Taken),
            None => {}
        }
        let sum = before.micros().saturating_add(record.credits);
        if sum > Credits::MAX.micros() {
            return Ok(ToppedUp::TooMuch);
        }
        scope.set_topped_up(sum);
        scope.set_until(None);
        let now = self.now();
        let forgotten = now.checked_sub(self.rules().retention.usage).unwrap_or(Timestamp::MIN);
        let records = self.records_to_write();
        records.put_scope(team, &record.scope, scope)?;
        records.put_top_up(team, &wanted.id, &record, (now, forgotten))?;
        Ok(ToppedUp::Now(Credits::from_micros(sum)))
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::super::judgement::at;
    use super::super::memory_records::{Ledger, NOW, team, user};
    use super::*;
    use crate::ledger::{Scope, TopUpId};

    fn added(ledger: &mut Ledger, id: &str, scope: Scope, micros: u64) -> (ToppedUp, bool) {
        let id = TopUpId::parse(id).unwrap();
        let mut machine = ledger.machine();
        let done = machine
            .top_up(&team(), &TopUp { id, scope, credits: Credits::from_micros(micros) })
            .unwrap();
        (done, machine.changed())
    }

    #[test]
    fn a_top_up_is_added_once_under_its_id() {
        let mut ledger = Ledger::new();
        let five = Credits::from_micros(5);
        let mut add = |id, scope, micros| added(&mut ledger, id, scope, micros);
        assert_eq!(add("one", user("ana"), 5), (ToppedUp::Now(five), true));
        assert_eq!(add("one", user("ana"), 5), (ToppedUp::Before(five), false));
        assert_eq!(add("one", user("ana"), 6), (ToppedUp::Taken, false));
        assert_eq!(add("one", Scope::Team, 5), (ToppedUp::Taken, false));
        assert_eq!(add("two", user("ana"), 6), (ToppedUp::Now(Credits::from_micros(11)), true));
    }

    #[test]
    fn all_top_ups_together_reach_the_largest_amount_at_most() {
        let mut ledger = Ledger::new();
        let most = Credits::MAX.micros();
        let mut add = |id, micros| added(&mut ledger, id, Scope::Team, micros);
        assert_eq!(add("one", most - 5), (ToppedUp::Now(Credits::from_micros(most - 5)), true));
        assert_eq!(add("two", 6), (ToppedUp::TooMuch, false));
        assert_eq!(add("two", 5), (ToppedUp::Now(Credits::MAX), true));
        assert_eq!(ledger.scope(&Scope::Team).topped_up(), most);
    }

    /// A top-up is kept as long as usage.
    #[test]
    fn a_prepaid_user_is_kept_for_ever() {
        let mut ledger = Ledger::new();
        ledger.open(crate::ledger::Phase::Waiting, 0);
        assert!(ledger.scope(&user("ana")).until().is_some());
        added(&mut ledger, "one", user("ana"), 5);
        assert_eq!(ledger.scope(&user("ana")).until(), None);
        assert_eq!(ledger.kept.topped_up_at, Some((at(NOW), at(NOW) - (1830 * 24).hours())));
    }
}
