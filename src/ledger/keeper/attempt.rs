//! The attempts at one batch: each sends a step and handles the reply. [`prepare`] works the step
//! out.

mod prepare;

use std::sync::Arc;

use super::cache::TeamCache;
use super::context::{Context, first_due};
use super::operation::{Answer, Operation};
use super::own::InDoubt;
use super::queue::{Batch, Team};
use super::restore;
use super::step::{Expected, Found, LeftMark, Marked, Reply, Step, Verdict};
use super::wanted::Wanted;
use super::work::{Work, under_way};
use super::{Keeper, KeeperTime, TrustState, loss, takeover};
use crate::ledger::machine::Revision;
use crate::ledger::{Outage, ReservationId};

/// A batch that was carried through.
pub(super) struct Carried {
    pub(super) work: Box<Work>,
    /// Why its admissions do not stand although they were written.
    pub(super) void: Option<Outage>,
}

/// State of the attempts at one batch.
pub(super) struct Attempt {
    /// Records to read with the next step; `None` before the first reading.
    wanted: Option<Arc<Wanted>>,
    /// The cache was just read, and nothing was sent since.
    pub(super) fresh: bool,
    /// A newer revision exists, and its records were not read yet.
    is_old: bool,
    /// The record of a team that is yet to be made.
    new: Option<TeamCache>,
    /// The mark that must still be there when the team is made.
    mark: LeftMark,
    /// The keeper says that it had this team before.
    was_made: bool,
    /// The moment for which the first step that opens calls was worked out. Whether that step was
    /// written may be unknown: what it opened is not swept within the life of a reservation from
    /// then on. After that time nothing is opened any more, so that no call is opened twice.
    pub(super) opens_since: Option<i64>,
    /// A step came outside its times. If it was sent twice, the second may come in time and be
    /// written. So the next step moves the revision even if it changes nothing else: then the
    /// second is refused.
    moves_on: bool,
    /// How often in a row other processes wrote first.
    refused: usize,
    /// An operator accepts the records as they are.
    accepts: bool,
}

impl Attempt {
    pub(super) fn new(batch: &Batch) -> Self {
        let accepts = batch.iter().any(|operation| matches!(operation, Operation::Accept { .. }));
        Self {
            wanted: None,
            fresh: false,
            is_old: false,
            new: None,
            mark: LeftMark::default(),
            was_made: false,
            opens_since: None,
            moves_on: false,
            refused: 0,
            accepts,
        }
    }

    /// Whether trust in the keeper must be checked first, because this process has never seen the
    /// team.
    pub(super) fn must_trust(&self, team: &Team) -> bool {
        let cache = team.cache();
        self.accepts || (cache.revision().is_none() && cache.memory.is_none())
    }

    /// Checks whether the keeper is trusted with this team.
    pub(super) async fn trust<K: Keeper, T>(
        &self,
        context: &Context<'_, K, T>,
        team: &Arc<Team>,
    ) -> Result<(), Outage> {
        match context.keeper.trust(&team.id, self.accepts).await? {
            TrustState::Trusted => Ok(()),
            TrustState::TooNew => Err(Outage::Lost),
            TrustState::Held => {
                team.cache().is_held = true;
                Err(Outage::Lost)
            }
        }
    }

    /// Opens a team again after a loss, once every process has had time to restore what it knows or
    /// an operator accepts what is left.
    pub(super) async fn open<K: Keeper, T: KeeperTime>(
        &mut self,
        context: &Context<'_, K, T>,
        team: &Arc<Team>,
    ) -> Result<(), Outage> {
        let since = team.cache().team().loss.as_ref().map_or(i64::MAX, |loss| loss.noticed_at);
        let gather = i64::try_from(context.loss.gather.as_micros()).unwrap_or(i64::MAX);
        let not_before = if self.accepts { i64::MIN } else { since.saturating_add(gather) };
        if (context.loss.hold && !self.accepts) || context.time.now() < not_before {
            return Err(Outage::Lost);
        }
        self.fresh = false;
        restore::open(context, team, not_before).await
    }

    /// Notes that a step may have been written. What it ended is reported once it is known that it
    /// was.
    pub(super) fn doubt(team: &Team, step: &mut Step, work: Option<Box<Work>>) {
        if let Some(work) = work.filter(|_| step.is_made()) {
            let Work { swept, crossed, .. } = *work;
            let changes = std::mem::take(&mut step.changes);
            let mut cache = team.cache();
            let added = cache.added_by(&changes);
            cache.doubt(InDoubt { makes: step.makes, changes, added, swept, crossed });
        }
    }

    /// Handles a reply. The batch is carried through when its changes are made.
    pub(super) async fn take<K: Keeper, T: KeeperTime>(
        &mut self,
        context: &Context<'_, K, T>,
        team: &Arc<Team>,
        batch: &Batch,
        (mut step, work): (Box<Step>, Option<Box<Work>>),
        reply: Reply,
    ) -> Result<Option<Carried>, Outage> {
        self.fresh = false;
        if reply.verdict != Verdict::OtherPrimary && step.is_timely(reply.at) {
            // An earlier renewal that was sent twice may come after this one.
            let least = step.deadline.saturating_sub(under_way(context.rules));
            team.cache().put_off(&step.renewed, (least, reply.at));
        }
        // The step was sent twice because the first answer was lost.
        let found = reply.found.as_ref().and_then(|found| found.revision);
        let was_done = step.is_made() && found.is_some_and(|is| is.includes(step.makes.name));
        let verdict = if was_done { Verdict::Done } else { reply.verdict };
        match (verdict, work) {
            (Verdict::Done, Some(work)) => {
                let is_new = self.new.is_some();
                let (work, marks_are_lost) = self.written(team, batch, (step, work), &reply);
                // Applied to the cache before the team is noted: should the store lose the team in
                // between, this process can restore it.
                if is_new {
                    Box::pin(context.keeper.made(&team.id)).await;
                }
                if marks_are_lost {
                    let left = {
                        let cache = team.cache();
                        (cache.revision(), cache.team().clone())
                    };
                    Box::pin(loss::note_loss(context, team, left, false)).await?;
                    return Ok(None);
                }
                Ok(Some(Carried { work, void: reply.void }))
            }
            (Verdict::OtherTime, work) => {
                self.moves_on |= step.is_made();
                // A step that came too late will not come in time again: its moment binds nothing.
                self.opens_since.take_if(|since| *since == step.from && reply.at >= step.until);
                Self::doubt(team, &mut step, work);
                Ok(None)
            }
            (Verdict::OtherPrimary, work) => {
                // The step may have reached the former server before the connection broke.
                Self::doubt(team, &mut step, work);
                Box::pin(takeover::take_over(context, team)).await?;
                Ok(None)
            }
            (Verdict::OthersTurn, _) => {
                context.keeper.let_another_go_first().await;
                Ok(None)
            }
            (Verdict::NotWritten | Verdict::Done, work) => {
                let will_never_be = found.is_some_and(|is| is.has_come_to(step.makes));
                self.not_written(team, &mut step, work.filter(|_| !will_never_be));
                if step.reads {
                    Box::pin(self.learn(context, team, &step, reply)).await?;
                }
                Ok(None)
            }
        }
    }

    /// Applies a step that the keeper has written to the cache. Returns its answers, and whether
    /// the store has lost marks of the team.
    fn written(
        &mut self,
        team: &Team,
        batch: &Batch,
        (step, mut work): (Box<Step>, Box<Work>),
        reply: &Reply,
    ) -> (Box<Work>, bool) {
        let mut cache = team.cache();
        if let Some(new) = self.new.take() {
            *cache = new;
        }
        let marks_are_lost = cache.lacks_marks(reply.marks);
        cache.note_marks(reply.marks);
        answer_marks(&mut work.answers, batch, &step, reply, &mut cache);
        if step.is_made() {
            cache.forget_passed(step.makes);
            cache.owns(&step.changes, step.makes);
            cache.change(step.changes, step.makes);
        }
        (work, marks_are_lost)
    }

    /// Notes that the keeper has not written a step, because something newer is stored.
    fn not_written(&mut self, team: &Team, step: &mut Step, work: Option<Box<Work>>) {
        Self::doubt(team, step, work);
        match step.expected {
            Expected::Revision(_) => self.refused += 1,
            // The store was emptied after the team was found to be new: that must be checked
            // again.
            Expected::Nothing(_) => self.new = None,
            Expected::Anything => {}
        }
        if !step.reads {
            team.cache().is_not_alone();
            self.is_old = true;
        }
    }

    async fn learn<K: Keeper, T: KeeperTime>(
        &mut self,
        context: &Context<'_, K, T>,
        team: &Arc<Team>,
        step: &Step,
        reply: Reply,
    ) -> Result<(), Outage> {
        let Some(found) = &reply.found else { return Ok(()) };
        self.fresh = true;
        // The batch will also need what the ends of these calls touch.
        let wanted = Arc::make_mut(self.wanted.get_or_insert_default());
        wanted.ends_of(found.calls.iter().filter_map(|(_, record)| record.as_ref()));
        // A call that was to be ended may have another record than was thought: the process that
        // makes it may have marked it.
        wanted.calls.extend(step.overdue.iter().map(|(id, _, _)| *id));
        let is_new = found.revision.is_none() && {
            let cache = team.cache();
            cache.revision().is_none() && cache.memory.is_none()
        };
        if !is_new {
            self.new = None;
            return loss::handle_reply(context, team, step, reply).await;
        }
        self.begin(context, team, step, reply).await
    }

    /// Finds out whether a team without records, which this process has never seen, is new or was
    /// lost.
    async fn begin<K: Keeper, T: KeeperTime>(
        &mut self,
        context: &Context<'_, K, T>,
        team: &Arc<Team>,
        step: &Step,
        reply: Reply,
    ) -> Result<(), Outage> {
        let Some(found) = reply.found else { return Ok(()) };
        let revision = match self.new.as_ref().and_then(TeamCache::revision) {
            Some(revision) => revision,
            None if self.may_be_made(context, team).await? => {
                Revision::begin(reply.at, 0, None, context.keeper.name_step())
            }
            // Another process may have made the team since it was read.
            None if !std::mem::replace(&mut self.was_made, true) => return Ok(()),
            None => return loss::note_loss(context, team, (None, found.team), false).await,
        };
        let due = (step.from, first_due(reply.at, context.rules));
        let new = self.new.get_or_insert_default();
        new.learn(Found { revision: Some(revision), ..found }, 0, due);
        Ok(())
    }

    /// Leaves a mark before asking: if the keeper is emptied after the answer, the mark is gone and
    /// the team is not made.
    async fn may_be_made<K: Keeper, T>(
        &mut self,
        context: &Context<'_, K, T>,
        team: &Team,
    ) -> Result<bool, Outage> {
        let name = context.keeper.name_step();
        self.mark = context.keeper.leave_mark(&team.id, name).await?;
        context.keeper.may_be_made(&team.id, self.accepts).await
    }
}

/// Reports for each marked call whether it is still open.
fn answer_marks(
    answers: &mut [Answer],
    batch: &Batch,
    step: &Step,
    reply: &Reply,
    cache: &mut TeamCache,
) {
    let marked =
        |id: ReservationId| step.marks.iter().zip(&reply.marked).find(|(mark, _)| mark.id == id);
    for (operation, answer) in batch.iter().zip(answers) {
        let (Operation::Dispatch { id, .. } | Operation::Recall { id, .. }) = operation else {
            continue;
        };
        if let Answer::IsOpen(open) = answer
            && let Some((mark, marked)) = marked(*id)
        {
            *open = *marked == Marked::Done;
            cache.mark(*id, mark.to.clone(), *open);
        }
    }
}

#[cfg(test)]
#[path = "new_team_tests.rs"]
mod new_team_tests;
#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "attempt_times_tests.rs"]
mod times_tests;
