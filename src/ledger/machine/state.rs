//! The ledger's state machine: what each operation does to the records, without I/O.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::ends;
use super::judgement::{self, Judgement, Moment, Passes};
use super::past::{self, Ended};
use super::record::{ReservationRecord, ScopeName, ScopeRecord};
use super::records::Records;
use super::windows::End;
use crate::credits::Credits;
use crate::ledger::{
    Admission, Crossing, Level, LimitStatus, OnUnknown, Phase, ReservationId, Retention, Row,
    Settled, Settlement, Verdict,
};
use crate::team::limit::Shape;
use crate::team::{Limits, TeamId};

/// How long reservations and past records live, and what becomes of calls of unknown outcome.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Rules {
    pub(in crate::ledger) reservation_ttl: Duration,
    pub(in crate::ledger) retention: Retention,
    pub(in crate::ledger) on_unknown: OnUnknown,
}

/// The machine at one moment, over the records of one transaction.
pub(in crate::ledger) struct Machine<'a, R> {
    pub(super) records: R,
    pub(super) rules: &'a Rules,
    pub(super) now: Timestamp,
    /// Whether overdue calls are ended.
    pub(super) ends_overdue: bool,
    pub(super) changed: bool,
    pub(super) swept: Vec<Ended>,
    crossed: Vec<(TeamId, Crossing)>,
    pub(super) abandoned: Vec<TeamId>,
}

impl<'a, R: Records> Machine<'a, R> {
    pub(in crate::ledger) const fn new(records: R, rules: &'a Rules, now: Timestamp) -> Self {
        Self {
            records,
            rules,
            now,
            ends_overdue: true,
            changed: false,
            swept: Vec::new(),
            crossed: Vec::new(),
            abandoned: Vec::new(),
        }
    }

    /// Sets whether overdue calls are ended. They are not while the store has only just returned,
    /// so that live processes can renew their calls first.
    pub(in crate::ledger) const fn ends_overdue(&mut self, ends: bool) {
        self.ends_overdue = ends;
    }

    pub(in crate::ledger) const fn now(&self) -> Timestamp {
        self.now
    }

    pub(in crate::ledger) const fn records(&self) -> &R {
        &self.records
    }

    /// The records, with all changes.
    pub(in crate::ledger) fn into_records(self) -> R {
        self.records
    }

    pub(in crate::ledger) const fn rules(&self) -> &Rules {
        self.rules
    }

    /// Abandoned calls that were ended, by team; to be reported once they are durable.
    pub(in crate::ledger) fn take_swept(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.swept)
    }

    /// Teams of abandoned admissions that were released; to be reported once they are durable.
    pub(in crate::ledger) fn take_abandoned(&mut self) -> Vec<TeamId> {
        std::mem::take(&mut self.abandoned)
    }

    /// Budgets that reached their soft thresholds; to be reported once they are durable.
    pub(in crate::ledger) const fn crossed(&mut self) -> &mut Vec<(TeamId, Crossing)> {
        &mut self.crossed
    }

    /// The records, to write what the machine does not.
    pub(in crate::ledger) const fn records_to_write(&mut self) -> &mut R {
        self.changed = true;
        &mut self.records
    }

    /// Whether anything was written and must be made durable.
    pub(in crate::ledger) const fn changed(&self) -> bool {
        self.changed
    }

    pub(in crate::ledger) fn admit(&mut self, admission: &Admission) -> Result<Verdict, R::Fault> {
        self.sweep_by_the_way(&admission.team, &[admission.id])?;
        let moment = self.moment(&admission.time_zone);
        let scopes = self.scopes(admission)?;
        if self.records.reservation(&admission.team, admission.id)?.is_some() {
            let statuses = statuses(judged(&moment, admission, &scopes, Credits::ZERO));
            return Ok(Verdict::Admitted { statuses, at: self.now });
        }
        let before = judged(&moment, admission, &scopes, admission.price);
        if let Some(refused) = self.refusal(&before) {
            self.keep_corrected_buckets(admission, scopes)?;
            return Ok(refused);
        }
        let mut passes = before.iter().map(|judgement| judgement.passes);
        let (mut statuses, mut names) =
            (Vec::with_capacity(before.len()), Vec::with_capacity(scopes.len()));
        for (level, (name, mut record)) in admission.levels.iter().zip(scopes) {
            record.reserve(&moment.windows, admission.price.micros());
            self.take_tokens(&mut record, &level.limits, &mut passes);
            self.note_crossings(&admission.team, level, &mut record, &moment);
            record.set_until(ends::of_scope(level, &record, &moment));
            statuses.extend(
                judge(&moment, level, &record, Credits::ZERO).map(|judgement| judgement.status),
            );
            self.records.put_scope(&admission.team, &name, record)?;
            names.push(name);
        }
        self.open(admission, moment, names)?;
        before.iter().zip(&mut statuses).for_each(|(judgement, status)| judgement.mark(status));
        Ok(Verdict::Admitted { statuses, at: self.now })
    }

    /// Judges as [`Self::admit`] does, and reserves nothing.
    pub(in crate::ledger) fn quote(&mut self, admission: &Admission) -> Result<Verdict, R::Fault> {
        self.sweep_by_the_way(&admission.team, &[])?;
        let moment = self.moment(&admission.time_zone);
        let before = judged(&moment, admission, &self.scopes(admission)?, admission.price);
        let admitted = || Verdict::Admitted { statuses: marked(&before), at: self.now };
        Ok(self.refusal(&before).unwrap_or_else(admitted))
    }

    /// The machine's moment, in a team's time zone.
    pub(super) fn moment(&self, zone: &TimeZone) -> Moment {
        Moment::new(self.now, self.records.calendar(self.now, zone))
    }

    fn scopes(&self, admission: &Admission) -> Result<Vec<(ScopeName, ScopeRecord)>, R::Fault> {
        let mut scopes = Vec::with_capacity(admission.levels.len());
        for level in &admission.levels {
            let name = ScopeName::from(&level.scope);
            let record = self.records.scope(&admission.team, &name)?;
            scopes.push((name, record));
        }
        Ok(scopes)
    }

    fn refusal(&self, before: &[Judgement]) -> Option<Verdict> {
        let (binding, retry_at) = judgement::binding(before)?;
        Some(Verdict::Refused { statuses: marked(before), binding, retry_at, at: self.now })
    }

    /// Takes a token from every bucket that has one; an empty shadow bucket gives none.
    pub(in crate::ledger) fn take_tokens(
        &self,
        record: &mut ScopeRecord,
        limits: &Limits,
        passes: &mut impl Iterator<Item = Passes>,
    ) {
        for (limit, passes) in limits.iter().zip(passes) {
            if let (Shape::Bucket(period), Passes::Now) = (limit.kind.shape(), passes) {
                let period = judgement::micros(period);
                let drained = record.bucket(period).drained(limit.max, self.now.as_microsecond());
                record.set_bucket(period, drained.with_one_taken(period));
            }
        }
    }

    /// Corrects the time of buckets that were last written with a wrong clock. A refusal changes
    /// nothing else.
    fn keep_corrected_buckets(
        &mut self,
        admission: &Admission,
        scopes: Vec<(ScopeName, ScopeRecord)>,
    ) -> Result<(), R::Fault> {
        for (level, (name, mut record)) in admission.levels.iter().zip(scopes) {
            let mut corrected = false;
            for limit in level.limits.iter() {
                let Shape::Bucket(period) = limit.kind.shape() else { continue };
                let period = judgement::micros(period);
                let drained = record.bucket(period).drained(limit.max, self.now.as_microsecond());
                if drained.corrected {
                    record.set_bucket(period, drained.bucket());
                    corrected = true;
                }
            }
            if corrected {
                self.changed = true;
                self.records.put_scope(&admission.team, &name, record)?;
            }
        }
        Ok(())
    }

    fn open(
        &mut self,
        admission: &Admission,
        moment: Moment,
        scopes: Vec<ScopeName>,
    ) -> Result<(), R::Fault> {
        let record = ReservationRecord {
            dispatched: admission.phase == Phase::Dispatched,
            turned_back: admission.phase == Phase::TurnedBack,
            unread: false,
            marks: 0,
            claimed: 0,
            sent_in: 0,
            ending: None,
            price: admission.price.micros(),
            windows: moment.windows,
            admitted_at: self.now.as_microsecond(),
            deadline: self.deadline(),
            scopes,
            summary: admission.summary.clone(),
        };
        self.changed = true;
        self.records.put_reservation(&admission.team, admission.id, record)
    }

    pub(super) fn deadline(&self) -> i64 {
        let ttl = i64::try_from(self.rules.reservation_ttl.as_micros()).unwrap_or(i64::MAX);
        self.now.as_microsecond().saturating_add(ttl)
    }

    /// Notes a call's phase.
    pub(in crate::ledger) fn mark(
        &mut self,
        team: &TeamId,
        id: ReservationId,
        phase: Phase,
    ) -> Result<bool, R::Fault> {
        self.sweep_by_the_way(team, &[id])?;
        let Some(record) = self.records.reservation(team, id)? else { return Ok(false) };
        let Some(known) = record.phase() else { return Ok(false) };
        if known != phase {
            self.changed = true;
            self.records.put_reservation(team, id, record.marked(phase))?;
        }
        Ok(true)
    }

    pub(in crate::ledger) fn renew(
        &mut self,
        team: &TeamId,
        ids: &[ReservationId],
    ) -> Result<(), R::Fault> {
        self.sweep_by_the_way(team, ids)?;
        for id in ids {
            if let Some(record) = self.records.reservation(team, *id)? {
                self.changed = true;
                let deadline = self.deadline();
                self.records.put_reservation(
                    team,
                    *id,
                    ReservationRecord { deadline, ..record },
                )?;
            }
        }
        Ok(())
    }

    pub(in crate::ledger) fn settle(
        &mut self,
        team: &TeamId,
        end: &Settlement,
    ) -> Result<Settled, R::Fault> {
        self.sweep_by_the_way(team, &[end.id])?;
        self.end(team, end)
    }

    pub(super) fn end(&mut self, team: &TeamId, end: &Settlement) -> Result<Settled, R::Fault> {
        let Some(record) = self.take_open(team, end)? else { return Ok(Settled::Before) };
        self.changed = true;
        let reserved = Credits::from_micros(record.price);
        let charged = if end.outcome.costs() { end.charged.min(reserved) } else { Credits::ZERO };
        let counted = end.outcome.counts();
        for name in &record.scopes {
            let mut scope = self.records.scope(team, name)?;
            // A forgotten scope is not begun anew, because nothing would set when it may be
            // forgotten.
            if scope != ScopeRecord::default() {
                scope.settle(
                    &record.windows,
                    &End { price: record.price, charged: charged.micros(), counted },
                );
                if end.keeps_slots {
                    scope.keep_slot();
                }
                self.records.put_scope(team, name, scope)?;
            }
        }
        let row = Row {
            id: end.id,
            outcome: end.outcome,
            reserved,
            charged,
            day: record.windows.day,
            month: record.windows.month,
            admitted_at: judgement::at(record.admitted_at),
            settled_at: self.now,
            summary: record.summary,
            result: end.result.clone(),
        };
        past::note(&mut self.records, team, row, &self.rules.retention, self.now)?;
        Ok(Settled::Now(charged))
    }
}

fn judged(
    moment: &Moment,
    admission: &Admission,
    scopes: &[(ScopeName, ScopeRecord)],
    price: Credits,
) -> Vec<Judgement> {
    let levels = admission.levels.iter().zip(scopes);
    let mut judged =
        Vec::with_capacity(admission.levels.iter().map(|level| level.limits.iter().len()).sum());
    levels.for_each(|(level, (_, used))| judged.extend(judge(moment, level, used, price)));
    judged
}

pub(in crate::ledger) fn judge<'a>(
    moment: &'a Moment,
    level: &'a Level,
    used: &'a ScopeRecord,
    price: Credits,
) -> impl Iterator<Item = Judgement> + 'a {
    level.limits.iter().map(move |limit| moment.judge(&level.scope, limit, used, price))
}

fn marked(judgements: &[Judgement]) -> Vec<LimitStatus> {
    let mut statuses: Vec<LimitStatus> =
        judgements.iter().map(|judgement| judgement.status.clone()).collect();
    judgements.iter().zip(&mut statuses).for_each(|(judgement, status)| judgement.mark(status));
    statuses
}

pub(in crate::ledger) fn statuses(judgements: Vec<Judgement>) -> Vec<LimitStatus> {
    judgements.into_iter().map(|judgement| judgement.status).collect()
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
