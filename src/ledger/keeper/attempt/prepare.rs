//! Works the next step of a batch out.

use std::sync::Arc;

use super::Attempt;
use crate::ledger::keeper::cache::TeamCache;
use crate::ledger::keeper::context::{Context, REFUSED_MAX, deadline};
use crate::ledger::keeper::needs;
use crate::ledger::keeper::operation::Operation;
use crate::ledger::keeper::queue::{Batch, Team};
use crate::ledger::keeper::step::{Expected, Step};
use crate::ledger::keeper::view::Missing;
use crate::ledger::keeper::wanted::Wanted;
use crate::ledger::keeper::work::{self, Work};
use crate::ledger::keeper::{Keeper, KeeperTime};
use crate::ledger::machine::{Revision, judgement};

impl Attempt {
    /// The step to send, and the answers it would give. No step: the answers are known. Both are
    /// large, and handed on several times.
    pub(in crate::ledger::keeper) fn prepare<K: Keeper, T: KeeperTime>(
        &mut self,
        context: &Context<'_, K, T>,
        team: &Arc<Team>,
        batch: &Batch,
    ) -> (Option<Box<Step>>, Option<Box<Work>>) {
        let now = context.time.now();
        let mut guard = team.cache();
        if let Some(zone) = batch.iter().find_map(Operation::time_zone) {
            guard.calendar.keep(judgement::at(now), zone);
        }
        let cache = self.new.as_ref().unwrap_or(&*guard);
        let wanted = || Arc::new(needs::wanted(batch, cache));
        let reading = |wanted: &Arc<Wanted>| {
            let due = deadline(now, context.rules);
            let read = Step::reading(now, Arc::clone(wanted), needs::renewed(batch), due);
            Box::new(Step { until: now.saturating_add(work::under_way(context.rules)), ..read })
        };
        // A closed team may have been opened meanwhile.
        let is_open = !cache.team().is_closed() && !std::mem::take(&mut self.is_old);
        let Some(revision) = cache.revision().filter(|_| is_open) else {
            return (Some(reading(self.wanted.get_or_insert_with(wanted))), None);
        };
        let mut work = match worked_out(context, team, batch, cache, now) {
            Ok(work) => work,
            Err(Missing(more)) => {
                let wanted = self.wanted.get_or_insert_with(wanted);
                Arc::make_mut(wanted).add(*more);
                self.fresh = false;
                return (Some(reading(wanted)), None);
            }
        };
        // Only a reading shows whether the keeper's clock was set back: this process may know an
        // older time.
        if !self.fresh && cache.turns_back(&work.changes) {
            return (Some(reading(self.wanted.get_or_insert_with(wanted))), None);
        }
        work.changes.touched |= self.moves_on;
        // A call that is not overdue any more had its deadline put off, which moves no revision:
        // the keeper compares these deadlines.
        if !work.overdue.is_empty() {
            Arc::make_mut(self.wanted.get_or_insert_with(wanted)).due = true;
        }
        if self.fresh && asks_nothing_of_the_keeper(batch, cache, &work) {
            return (None, Some(work));
        }
        if !work.changes.opened.is_empty() {
            let since = *self.opens_since.get_or_insert(now);
            work.until = work.until.min(deadline(since, context.rules));
        }
        let mut step = self.step(context, (team, batch), cache, &mut work, (revision, now));
        if step.reads {
            step.wanted = Arc::clone(self.wanted.get_or_insert_with(wanted));
        }
        (Some(step), Some(work))
    }

    /// The step that writes what was worked out. Its changes are taken from the work.
    fn step<K: Keeper, T: KeeperTime>(
        &self,
        context: &Context<'_, K, T>,
        (team, batch): (&Team, &Batch),
        cache: &TeamCache,
        work: &mut Work,
        (revision, now): (Revision, i64),
    ) -> Box<Step> {
        if cache.team().replication_id == 0 && !work.changes.is_nothing() {
            let record = work.changes.team.get_or_insert_with(|| cache.team().clone());
            record.replication_id = context.keeper.replication_id(&team.id);
        }
        let record = work.changes.team.as_ref().unwrap_or_else(|| cache.team());
        let replication_id = record.replication_id;
        let name = context.keeper.name_step();
        let (expected, makes) = match &self.new {
            Some(_) => {
                (Expected::Nothing(self.mark), Revision::new(revision.epoch, revision.number, name))
            }
            None => (Expected::Revision(revision), revision.next(name)),
        };
        let mut step = Box::new(Step {
            expected,
            replication_id,
            makes,
            from: now,
            until: work.until,
            marks: needs::marks(batch, cache),
            renewed: needs::renewed(batch),
            deadline: deadline(now, context.rules),
            unopened: std::mem::take(&mut work.unopened),
            overdue: std::mem::take(&mut work.overdue),
            changes: *std::mem::take(&mut work.changes),
            wanted: Arc::default(),
            reads: true,
            wants_turn: self.refused >= REFUSED_MAX,
        });
        // A process that is alone with the team is rarely refused, and reads again when it is.
        step.reads = !(step.is_made() && self.new.is_none() && cache.is_alone());
        step
    }
}

/// Works a batch out on the cached records, or says which are missing.
fn worked_out<K: Keeper, T>(
    context: &Context<'_, K, T>,
    team: &Team,
    batch: &Batch,
    cache: &TeamCache,
    now: i64,
) -> Result<Box<Work>, Missing> {
    if !needs::unknown_marks(batch, cache).is_empty() {
        // The calls are wanted already, as is every call that the batch marks.
        return Err(Missing::of(Wanted::default()));
    }
    let rules = (context.rules, context.keeper.is_settled(&team.id));
    work::work_out(&team.id, batch, cache, rules, now)
}

/// Whether the batch writes, marks and renews nothing, so that its answers follow from records that
/// were just read.
fn asks_nothing_of_the_keeper(batch: &Batch, cache: &TeamCache, work: &Work) -> bool {
    work.changes.is_nothing()
        && needs::marks(batch, cache).is_empty()
        && needs::renewed(batch).is_empty()
}
