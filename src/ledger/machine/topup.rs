//! Adds to a prepaid budget, once for each id.

use jiff::Timestamp;

use super::record::{ScopeName, TopUpRecord};
use super::records::Records;
use super::state::Machine;
use crate::credits::Credits;
use crate::ledger::{TopUp, ToppedUp};
use crate::team::TeamId;

impl<R: Records> Machine<'_, R> {
    pub(in crate::ledger) fn top_up(&mut self, team: &TeamId, wanted: &TopUp) -> Result<ToppedUp, R::Fault> {
        let record = TopUpRecord { scope: ScopeName::from(&wanted.scope), credits: wanted.credits.micros() };
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
