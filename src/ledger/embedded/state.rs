//! The ledger's state machine: what each word does to the records, without any I/O of its own.

use std::time::Duration;

use jiff::Timestamp;

use super::judgement::{self, Judgement, Moment, Passes};
use super::record::{End, ReservationRecord, ScopeName, ScopeRecord};
use crate::credits::Credits;
use crate::ledger::calendar::Calendar;
use crate::ledger::{
    Admission, Books, Came, Inquiry, Level, OnUnknown, Outcome, Phase, ReservationId, Row, Settled, Settlement,
    Standing, Swept, Verdict,
};
use crate::team::limit::Shape;
use crate::team::{Limits, TeamId};

/// The most that one sweep ends.
const SWEEP_MOST: usize = 128;
/// The most that any other word about a team ends by the way.
const SWEEP_BY_THE_WAY: usize = 8;
/// The most old rows that go when a new one comes: more than one, so that rows get fewer after a burst.
const TRIM_BY_THE_WAY: usize = 2;

/// Where the records are.
pub(super) trait Records {
    /// Why they could not be read or written.
    type Fault;

    /// One scope; an empty record if nothing was ever counted there.
    fn scope(&self, team: &TeamId, scope: &ScopeName) -> Result<ScopeRecord, Self::Fault>;
    /// Keeps a scope.
    fn put_scope(&mut self, team: &TeamId, scope: &ScopeName, record: &ScopeRecord) -> Result<(), Self::Fault>;
    /// An open reservation of the team.
    fn reservation(&self, team: &TeamId, id: ReservationId) -> Result<Option<ReservationRecord>, Self::Fault>;
    /// Keeps a reservation, new or changed.
    fn put_reservation(&mut self, team: &TeamId, id: ReservationId, to: &ReservationRecord) -> Result<(), Self::Fault>;
    /// Takes a reservation out: it is no longer open.
    fn take_reservation(&mut self, team: &TeamId, id: ReservationId) -> Result<Option<ReservationRecord>, Self::Fault>;
    /// How many reservations of the team are open.
    fn open(&self, team: &TeamId) -> Result<u64, Self::Fault>;
    /// The team's reservations whose deadline (microseconds of Unix time) has passed, earliest first.
    fn overdue(&self, team: &TeamId, now: i64, most: usize) -> Result<Vec<ReservationId>, Self::Fault>;
    /// Adds a row after all others of the team.
    fn append_row(&mut self, team: &TeamId, row: &Row) -> Result<(), Self::Fault>;
    /// Drops the team's oldest rows, as far as they were settled before a moment; a bounded number. How many went.
    fn trim_rows(&mut self, team: &TeamId, before: Timestamp, most: usize) -> Result<usize, Self::Fault>;
    /// The team's rows, newest first.
    fn rows(&self, team: &TeamId, limit: usize) -> Result<Vec<Row>, Self::Fault>;
}

/// What a ledger is told once.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) reservation_ttl: Duration,
    pub(super) retention: Duration,
    pub(super) on_unknown: OnUnknown,
}

/// The machine at one moment, over the records of one transaction.
pub(super) struct Machine<'a, R> {
    records: R,
    rules: &'a Rules,
    now: Timestamp,
    changed: bool,
    swept: Vec<(TeamId, Swept)>,
}

impl<'a, R: Records> Machine<'a, R> {
    pub(super) const fn new(records: R, rules: &'a Rules, now: Timestamp) -> Self {
        Self { records, rules, now, changed: false, swept: Vec::new() }
    }

    /// What was ended that had been left behind, team by team: known once this is durable.
    pub(super) fn take_swept(&mut self) -> Vec<(TeamId, Swept)> {
        std::mem::take(&mut self.swept)
    }

    /// Whether anything was written: if not, there is nothing to make durable.
    pub(super) const fn changed(&self) -> bool {
        self.changed
    }

    pub(super) fn admit(&mut self, asked: &Admission) -> Result<Verdict, R::Fault> {
        self.sweep_by_the_way(&asked.team, &[asked.id])?;
        let moment = Moment::new(self.now, Calendar::around(self.now, &asked.time_zone));
        let mut scopes = Vec::with_capacity(asked.levels.len());
        for level in &asked.levels {
            let name = ScopeName::from(&level.scope);
            let record = self.records.scope(&asked.team, &name)?;
            scopes.push((name, record));
        }
        let judged = |scopes: &[(ScopeName, ScopeRecord)], price| -> Vec<Judgement> {
            let levels = asked.levels.iter().zip(scopes);
            levels.flat_map(|(level, (_, used))| judge(&moment, level, used, price)).collect()
        };
        if self.records.reservation(&asked.team, asked.id)?.is_some() {
            return Ok(Verdict::Admitted { standings: standings(judged(&scopes, Credits::ZERO)), at: self.now });
        }
        let before = judged(&scopes, asked.price);
        if let Some((binding, retry_at)) = judgement::binding(&before) {
            self.keep_corrected_buckets(asked, &mut scopes)?;
            let standings = before.iter().map(|judgement| judgement.marked(judgement.standing.clone())).collect();
            return Ok(Verdict::Refused { standings, binding, retry_at, at: self.now });
        }
        let mut passes = before.iter().map(|judgement| judgement.passes);
        for (level, (name, record)) in asked.levels.iter().zip(&mut scopes) {
            record.reserve(&moment.windows, asked.price.micros());
            self.take_tokens(record, &level.limits, &mut passes);
            self.records.put_scope(&asked.team, name, record)?;
        }
        let after = standings(judged(&scopes, Credits::ZERO));
        self.open(asked, &moment, scopes.into_iter().map(|(name, _)| name).collect())?;
        let standings = before.iter().zip(after).map(|(judgement, standing)| judgement.marked(standing)).collect();
        Ok(Verdict::Admitted { standings, at: self.now })
    }

    /// Takes one token from every bucket that has one; a shadow bucket that has none gives none.
    fn take_tokens(&self, record: &mut ScopeRecord, limits: &Limits, passes: &mut impl Iterator<Item = Passes>) {
        for (limit, passes) in limits.iter().zip(passes) {
            if let (Shape::Bucket(period), Passes::Now) = (limit.kind.shape(), passes) {
                let period = judgement::micros(period);
                let drained = record.bucket(period).drained(limit.max, self.now.as_microsecond());
                record.set_bucket(period, drained.with_one_taken(period));
            }
        }
    }

    /// A refusal changes no bucket, except that one which was last written by a wrong clock gets the right time.
    fn keep_corrected_buckets(
        &mut self,
        asked: &Admission,
        scopes: &mut [(ScopeName, ScopeRecord)],
    ) -> Result<(), R::Fault> {
        for (level, (name, record)) in asked.levels.iter().zip(scopes) {
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
                self.records.put_scope(&asked.team, name, record)?;
            }
        }
        Ok(())
    }

    fn open(&mut self, asked: &Admission, moment: &Moment, scopes: Vec<ScopeName>) -> Result<(), R::Fault> {
        let record = ReservationRecord {
            dispatched: asked.phase == Phase::Dispatched,
            price: asked.price.micros(),
            windows: moment.windows.clone(),
            admitted_at: self.now.as_microsecond(),
            deadline: self.deadline(),
            scopes,
            asked: asked.asked.clone(),
        };
        self.changed = true;
        self.records.put_reservation(&asked.team, asked.id, &record)
    }

    fn deadline(&self) -> i64 {
        let ttl = i64::try_from(self.rules.reservation_ttl.as_micros()).unwrap_or(i64::MAX);
        self.now.as_microsecond().saturating_add(ttl)
    }

    pub(super) fn dispatch(&mut self, team: &TeamId, id: ReservationId) -> Result<bool, R::Fault> {
        self.sweep_by_the_way(team, &[id])?;
        let Some(record) = self.records.reservation(team, id)? else { return Ok(false) };
        if !record.dispatched {
            self.changed = true;
            self.records.put_reservation(team, id, &ReservationRecord { dispatched: true, ..record })?;
        }
        Ok(true)
    }

    pub(super) fn renew(&mut self, team: &TeamId, ids: &[ReservationId]) -> Result<(), R::Fault> {
        self.sweep_by_the_way(team, ids)?;
        for id in ids {
            if let Some(record) = self.records.reservation(team, *id)? {
                self.changed = true;
                let deadline = self.deadline();
                self.records.put_reservation(team, *id, &ReservationRecord { deadline, ..record })?;
            }
        }
        Ok(())
    }

    pub(super) fn settle(&mut self, team: &TeamId, end: &Settlement) -> Result<Settled, R::Fault> {
        self.sweep_by_the_way(team, &[end.id])?;
        self.end(team, end)
    }

    fn end(&mut self, team: &TeamId, end: &Settlement) -> Result<Settled, R::Fault> {
        let Some(record) = self.records.take_reservation(team, end.id)? else { return Ok(Settled::Before) };
        self.changed = true;
        let reserved = Credits::from_micros(record.price);
        let (charged, counted) = match end.outcome {
            Outcome::Released => (Credits::ZERO, false),
            Outcome::Charged | Outcome::Unknown => (end.charged.min(reserved), true),
        };
        for name in &record.scopes {
            let mut scope = self.records.scope(team, name)?;
            scope.settle(&record.windows, &End { price: record.price, charged: charged.micros(), counted });
            self.records.put_scope(team, name, &scope)?;
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
            asked: record.asked,
            came: end.came.clone(),
        };
        self.records.append_row(team, &row)?;
        self.trim(team, TRIM_BY_THE_WAY)?;
        Ok(Settled::Now(charged))
    }

    pub(super) fn sweep(&mut self, team: &TeamId) -> Result<Swept, R::Fault> {
        self.trim(team, SWEEP_MOST)?;
        self.end_overdue(team, SWEEP_MOST, &[])
    }

    /// Ends a few that were left behind, but none that this word is about: whoever speaks of a call is alive.
    fn sweep_by_the_way(&mut self, team: &TeamId, named: &[ReservationId]) -> Result<(), R::Fault> {
        self.end_overdue(team, SWEEP_BY_THE_WAY, named).map(|_| ())
    }

    fn end_overdue(&mut self, team: &TeamId, most: usize, named: &[ReservationId]) -> Result<Swept, R::Fault> {
        let mut swept = Swept::default();
        for id in self.records.overdue(team, self.now.as_microsecond(), most)? {
            if named.contains(&id) {
                continue;
            }
            let Some(record) = self.records.reservation(team, id)? else { continue };
            let (outcome, count) = if record.dispatched {
                (Outcome::Unknown, &mut swept.unknown)
            } else {
                (Outcome::Released, &mut swept.released)
            };
            *count += 1;
            let charged = match self.rules.on_unknown {
                OnUnknown::Charge => Credits::from_micros(record.price),
                OnUnknown::Release => Credits::ZERO,
            };
            self.end(team, &Settlement { id, outcome, charged, came: Came::default() })?;
        }
        if swept != Swept::default() {
            self.swept.push((team.clone(), swept));
        }
        Ok(swept)
    }

    fn trim(&mut self, team: &TeamId, most: usize) -> Result<(), R::Fault> {
        let oldest = self.now.checked_sub(self.rules.retention).unwrap_or(Timestamp::MIN);
        let trimmed = self.records.trim_rows(team, oldest, most)?;
        self.changed |= trimmed > 0;
        Ok(())
    }

    pub(super) fn books(&self, asked: &Inquiry) -> Result<Books, R::Fault> {
        let moment = Moment::new(self.now, Calendar::around(self.now, &asked.time_zone));
        let mut judgements = Vec::new();
        for level in &asked.levels {
            let used = self.records.scope(&asked.team, &ScopeName::from(&level.scope))?;
            judgements.extend(judge(&moment, level, &used, Credits::ZERO));
        }
        Ok(Books { standings: standings(judgements), open: self.records.open(&asked.team)?, at: self.now })
    }

    pub(super) fn rows(&self, team: &TeamId, limit: usize) -> Result<Vec<Row>, R::Fault> {
        self.records.rows(team, limit)
    }
}

fn judge(moment: &Moment, level: &Level, used: &ScopeRecord, price: Credits) -> Vec<Judgement> {
    level.limits.iter().map(|limit| moment.judge(&level.scope, limit, used, price)).collect()
}

fn standings(judgements: Vec<Judgement>) -> Vec<Standing> {
    judgements.into_iter().map(|judgement| judgement.standing).collect()
}
