//! Reads a team's limits. Only the read itself may be counted.

use super::ends;
use super::judgement::{self, Moment};
use super::record::ScopeName;
use super::records::Records;
use super::state::{Machine, judge, statuses};
use crate::credits::Credits;
use crate::ledger::{BudgetSnapshot, Level, ReadLimited, SnapshotQuery};
use crate::team::TeamId;

impl<R: Records> Machine<'_, R> {
    pub(in crate::ledger) fn snapshot(
        &mut self,
        query: &SnapshotQuery,
    ) -> Result<BudgetSnapshot, R::Fault> {
        let moment = self.moment(&query.time_zone);
        let mut judgements = Vec::new();
        for level in &query.levels {
            let used = self.records().scope(&query.team, &ScopeName::from(&level.scope))?;
            judgements.extend(judge(&moment, level, &used, Credits::ZERO));
        }
        let refused = match &query.reader {
            Some(reader) => self.count_reading(&query.team, reader, &moment)?,
            None => None,
        };
        let (statuses, open) = (statuses(judgements), self.records().open(&query.team)?);
        Ok(BudgetSnapshot { statuses, open, refused, at: self.now() })
    }

    /// Takes a token for a read, or refuses it.
    fn count_reading(
        &mut self,
        team: &TeamId,
        reader: &Level,
        moment: &Moment,
    ) -> Result<Option<ReadLimited>, R::Fault> {
        let name = ScopeName::from(&reader.scope);
        let mut record = self.records().scope(team, &name)?;
        let judged: Vec<_> = judge(moment, reader, &record, Credits::ZERO).collect();
        if let Some((binding, retry_at)) = judgement::binding(&judged) {
            return Ok(judged
                .into_iter()
                .nth(binding)
                .map(|judged| ReadLimited { status: judged.status, retry_at }));
        }
        self.take_tokens(
            &mut record,
            &reader.limits,
            &mut judged.iter().map(|judgement| judgement.passes),
        );
        record.set_until(ends::of_scope(reader, &record, moment));
        self.records_to_write().put_scope(team, &name, record)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::super::judgement::at;
    use super::super::memory_records::{Ledger, NOW, SECOND, of, team, user};
    use super::*;
    use crate::ledger::{Phase, Scope};
    use crate::team::{Limit, LimitKind, UserId};

    /// The reader's scope is kept until its bucket is full.
    #[test]
    fn who_reads_too_often_is_told_when_to_read_again() {
        let mut ledger = Ledger::new();
        ledger.open(Phase::Waiting, 7);
        let reader = Scope::Account(UserId::parse("ana").unwrap());
        let limits = [Limit::new(LimitKind::Concurrent, 9)];
        let query = SnapshotQuery {
            team: team(),
            levels: vec![of(Scope::Team, limits), of(user("ana"), limits)],
            time_zone: TimeZone::UTC,
            reader: Some(of(reader.clone(), [Limit::new(LimitKind::RequestsPerMinute, 1)])),
        };
        for retry_at in [None, Some(Some(at(NOW + 60 * SECOND)))] {
            let mut machine = ledger.machine();
            let snapshot = machine.snapshot(&query).unwrap();
            assert_eq!((snapshot.open, snapshot.at), (1, at(NOW)));
            assert_eq!(
                snapshot.statuses.iter().map(|status| status.reserved).collect::<Vec<_>>(),
                [1, 1]
            );
            assert_eq!(
                machine.changed(),
                retry_at.is_none(),
                "a reading that does not pass is not counted"
            );
            assert_eq!(snapshot.refused.map(|refused| refused.retry_at), retry_at);
            assert_eq!(ledger.scope(&reader).until(), Some(NOW + 120 * SECOND));
        }
    }
}
