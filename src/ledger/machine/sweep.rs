//! Ends abandoned calls, forgets past records, and releases abandoned admissions.

use super::past::{self, Ended};
use super::records::Records;
use super::state::Machine;
use crate::credits::Credits;
use crate::ledger::{
    CallResult, OnUnknown, Outcome, Phase, ReservationId, Settled, Settlement, Swept,
};
use crate::team::TeamId;

/// The most calls that one sweep ends.
const SWEEP_MAX: usize = 128;
/// The most calls that any other operation on a team ends along the way.
const SWEEP_BY_THE_WAY: usize = 8;

impl<R: Records> Machine<'_, R> {
    pub(in crate::ledger) fn sweep(&mut self, team: &TeamId) -> Result<Swept, R::Fault> {
        self.changed |=
            past::trim(&mut self.records, team, &self.rules.retention, self.now, SWEEP_MAX)?;
        self.forget_scopes(team)?;
        self.end_overdue(team, SWEEP_MAX, &[])
    }

    /// Forgets users and keys whose counts do not matter any more.
    fn forget_scopes(&mut self, team: &TeamId) -> Result<(), R::Fault> {
        let now = self.now.as_microsecond();
        for name in self.records.past_scopes(team, now, SWEEP_MAX)? {
            let record = self.records.scope(team, &name)?;
            if record.slots() == 0 && record.until().is_some_and(|until| until <= now) {
                self.changed = true;
                self.records.drop_scope(team, &name)?;
            }
        }
        Ok(())
    }

    /// Ends a few abandoned calls, except those that this operation names: their process is alive.
    pub(super) fn sweep_by_the_way(
        &mut self,
        team: &TeamId,
        named: &[ReservationId],
    ) -> Result<(), R::Fault> {
        self.end_overdue(team, SWEEP_BY_THE_WAY, named).map(|_| ())
    }

    fn end_overdue(
        &mut self,
        team: &TeamId,
        most: usize,
        named: &[ReservationId],
    ) -> Result<Swept, R::Fault> {
        let mut ended = Ended::of(team);
        if !self.ends_overdue {
            return Ok(Swept::default());
        }
        for id in self.records.overdue(team, self.now.as_microsecond(), most)? {
            if named.contains(&id) {
                continue;
            }
            let Some(record) = self.records.reservation(team, id)? else { continue };
            let may_be_sent = self.records.may_have_come_further(&record);
            let (outcome, count) = match record.phase() {
                Some(Phase::Dispatched) => (Outcome::Unknown, &mut ended.swept.unknown),
                // The process is away and may have sent the call, so it is not free.
                Some(Phase::Waiting | Phase::TurnedBack) if may_be_sent => {
                    (Outcome::Unknown, &mut ended.swept.unknown)
                }
                Some(Phase::TurnedBack) => (Outcome::Refused, &mut ended.swept.refused),
                Some(Phase::Waiting) => (Outcome::Released, &mut ended.swept.released),
                // The call was settled in time; only the process that wrote its answer is gone.
                None => {
                    self.free_slots(team, id)?;
                    continue;
                }
            };
            *count += 1;
            let charged = match self.rules.on_unknown {
                OnUnknown::Charge => Credits::from_micros(record.price),
                OnUnknown::Release => Credits::ZERO,
            };
            let end = Settlement {
                id,
                outcome,
                charged,
                result: CallResult::default(),
                keeps_slots: false,
            };
            let settled = self.end(team, &end)?;
            if let (Outcome::Unknown, Settled::Now(charged)) = (outcome, settled) {
                ended.charge(record.summary.model.clone(), charged);
            }
        }
        let swept = ended.swept;
        if swept != Swept::default() {
            self.swept.push(ended);
        }
        Ok(swept)
    }

    /// Releases an admission whose caller never learned of it.
    pub(in crate::ledger) fn abandon(
        &mut self,
        team: &TeamId,
        id: ReservationId,
    ) -> Result<Settled, R::Fault> {
        let (outcome, charged, result) = (Outcome::Released, Credits::ZERO, CallResult::default());
        let settled =
            self.settle(team, &Settlement { id, outcome, charged, result, keeps_slots: false })?;
        if let Settled::Now(_) = settled {
            self.abandoned.push(team.clone());
        }
        Ok(settled)
    }
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
