//! One attempt at a batch after another: what is sent, and what is made of the reply.

use std::sync::Arc;

use super::cache::{InDoubt, TeamCache};
use super::context::{Context, REFUSED_MOST, deadline, first_due};
use super::operation::Operation;
use super::queue::{Batch, Team};
use super::restore;
use super::step::{Expected, Found, Marked, Reply, Step, Verdict};
use super::view::Missing;
use super::wanted::{self, Wanted};
use super::work::{self, Answer, Work};
use super::{Keeper, KeeperTime, TrustState, takeover};
use crate::ledger::machine::Revision;
use crate::ledger::{Outage, ReservationId};

/// A batch that was carried through.
pub(super) struct Carried {
    pub(super) work: Work,
    /// Why its admissions do not stand after all.
    pub(super) void: Option<Outage>,
}

/// How far the attempts at one batch have come.
pub(super) struct Attempt {
    /// What is to be read, once anything is.
    wanted: Option<Arc<Wanted>>,
    /// What is known was just told, and nothing was sent since.
    pub(super) fresh: bool,
    /// Something is newer, and was not told of.
    is_old: bool,
    /// The records of a team that is yet to be made.
    new: Option<TeamCache>,
    /// The mark without which it is not made.
    mark: u64,
    /// The keeper says that it had this team before.
    was_made: bool,
    /// For when the first step was that opens calls. Whether it was written may be unknown: what it
    /// opened is not swept within the life of a reservation from then on, and after that nothing is
    /// opened, lest it be opened a second time.
    pub(super) opens_since: Option<i64>,
    /// How often others were first.
    refused: usize,
    /// An operator accepts what is there.
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
            mark: 0,
            was_made: false,
            opens_since: None,
            refused: 0,
            accepts,
        }
    }

    /// Whether it is to be found out first whether what the keeper says is believed: this process has never seen the
    /// team.
    pub(super) fn must_trust(&self, team: &Team) -> bool {
        let cache = team.cache();
        self.accepts || (cache.revision().is_none() && cache.memory.is_none())
    }

    /// Sees to it that what the keeper says is believed.
    pub(super) async fn trust<K: Keeper, T>(
        &self,
        context: &Context<'_, K, T>,
        team: &Arc<Team>,
    ) -> Result<(), Outage> {
        match context.keeper.trust(&team.id, self.accepts).await? {
            TrustState::Believed => Ok(()),
            TrustState::TooNew => Err(Outage::Lost),
            TrustState::Held => {
                team.cache().is_held = true;
                Err(Outage::Lost)
            }
        }
    }

    /// Opens a team again of which something was lost, as soon as everybody had time to restore what they know, or an
    /// operator accepts what is left.
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

    /// What is to be sent, and what it would answer. No step: the answer is known.
    pub(super) fn prepare<K: Keeper, T: KeeperTime>(
        &mut self,
        context: &Context<'_, K, T>,
        team: &Arc<Team>,
        batch: &Batch,
    ) -> (Option<Step>, Option<Work>) {
        let now = context.time.now();
        let guard = team.cache();
        let cache = self.new.as_ref().unwrap_or(&*guard);
        let wanted = || Arc::new(wanted::of(batch, cache));
        let reading = |wanted: &Arc<Wanted>| {
            Step::reading(now, Arc::clone(wanted), work::renewed(batch), deadline(now, context.rules))
        };
        // What is closed may be open by now.
        let is_open = !cache.team().is_closed() && !std::mem::take(&mut self.is_old);
        let Some(revision) = cache.revision().filter(|_| is_open) else {
            return (Some(reading(self.wanted.get_or_insert_with(wanted))), None);
        };
        let unknown = work::unknown_marks(batch, cache);
        let worked = if unknown.is_empty() {
            work::work_out(&team.id, batch, cache, (context.rules, context.keeper.is_settled(&team.id)), now)
        } else {
            Err(Missing::of(Wanted { calls: unknown, ..Wanted::default() }))
        };
        let mut work = match worked {
            Ok(work) => work,
            Err(Missing(more)) => {
                let wanted = self.wanted.get_or_insert_with(wanted);
                Arc::make_mut(wanted).add(*more);
                self.fresh = false;
                return (Some(reading(wanted)), None);
            }
        };
        // Should one of these not be overdue any more, its deadline was put off, which moves no revision.
        if !work.overdue.is_empty() {
            Arc::make_mut(self.wanted.get_or_insert_with(wanted)).due = true;
        }
        let (marks, renewed) = (work::marks(batch, cache), work::renewed(batch));
        if self.fresh && work.changes.is_nothing() && marks.is_empty() && renewed.is_empty() {
            return (None, Some(work));
        }
        if !work.changes.opened.is_empty() {
            work.until = work.until.min(deadline(*self.opens_since.get_or_insert(now), context.rules));
        }
        if cache.team().reign == 0 && !work.changes.is_nothing() {
            let record = work.changes.team.get_or_insert_with(|| cache.team().clone());
            record.reign = context.keeper.reign(&team.id);
        }
        let name = context.keeper.name_step();
        let (expected, makes) = match &self.new {
            Some(_) => (Expected::Nothing(self.mark), Revision { name, ..revision }),
            None => (Expected::Revision(revision), revision.next(name)),
        };
        let mut step = Step {
            expected,
            reign: work.changes.team.as_ref().unwrap_or_else(|| cache.team()).reign,
            makes,
            from: now,
            until: work.until,
            marks,
            renewed,
            deadline: deadline(now, context.rules),
            unopened: std::mem::take(&mut work.unopened),
            overdue: std::mem::take(&mut work.overdue),
            changes: std::mem::take(&mut work.changes),
            wanted: Arc::default(),
            reads: true,
            wants_turn: self.refused >= REFUSED_MOST,
        };
        // What only reads is one way there and back.
        step.reads = !(step.is_made() && self.new.is_none() && cache.is_alone());
        if step.reads {
            step.wanted = Arc::clone(self.wanted.get_or_insert_with(wanted));
        }
        (Some(step), Some(work))
    }

    /// The answer to a step was lost. What it ended is told of when it is known that it was done.
    pub(super) fn doubt(team: &Team, step: Step, work: Option<Work>) {
        if let Some(Work { swept, crossed, .. }) = work.filter(|_| step.is_made()) {
            team.cache().doubt(InDoubt { makes: step.makes, changes: step.changes, swept, crossed });
        }
    }

    /// Takes note of a reply. The batch is carried through when its changes are made.
    pub(super) async fn take<K: Keeper, T: KeeperTime>(
        &mut self,
        context: &Context<'_, K, T>,
        team: &Arc<Team>,
        batch: &Batch,
        (step, work): (Step, Option<Work>),
        reply: Reply,
    ) -> Result<Option<Carried>, Outage> {
        self.fresh = false;
        // It was sent twice, since the first answer was lost: nobody else makes that revision.
        let was_done = step.is_made() && reply.found.as_ref().is_some_and(|found| found.revision == Some(step.makes));
        let verdict = if was_done { Verdict::Done } else { reply.verdict };
        match (verdict, work) {
            (Verdict::Done, Some(mut work)) => {
                let new = self.new.take();
                let is_new = new.is_some();
                let marks_are_lost = {
                    let mut cache = team.cache();
                    if let Some(new) = new {
                        *cache = new;
                    }
                    let marks_are_lost = cache.lacks_marks(reply.marks);
                    cache.note_marks(reply.marks);
                    answer_marks(&mut work.answers, batch, &step, &reply, &mut cache);
                    if step.is_made() {
                        cache.owns(&step.changes, step.makes);
                        cache.change(step.changes, step.makes);
                    }
                    marks_are_lost
                };
                // Not before it is known here: should the store lose it meanwhile, somebody knows of it.
                if is_new {
                    Box::pin(context.keeper.made(&team.id)).await;
                }
                if marks_are_lost {
                    let left = {
                        let cache = team.cache();
                        (cache.revision(), cache.team().clone())
                    };
                    Box::pin(restore::lose(context, team, left, false)).await?;
                    return Ok(None);
                }
                Ok(Some(Carried { work, void: reply.void }))
            }
            (Verdict::OtherTime, _) => {
                // It was not written, and its moment was none.
                self.opens_since.take_if(|since| *since == step.from);
                Ok(None)
            }
            (Verdict::OtherReign, work) => {
                // It may have been sent to the server before this one, and its connection have broken then.
                Self::doubt(team, step, work);
                Box::pin(takeover::take_over(context, team)).await?;
                Ok(None)
            }
            (Verdict::OthersTurn, _) => {
                context.keeper.let_another_go_first().await;
                Ok(None)
            }
            (Verdict::Told | Verdict::Done, _) => {
                match step.expected {
                    Expected::Revision(_) => self.refused += 1,
                    // Emptied since it was found that the team is new: that is to be found out again.
                    Expected::Nothing(_) => self.new = None,
                    Expected::Anything => {}
                }
                if !step.reads {
                    team.cache().is_not_alone();
                    self.is_old = true;
                    return Ok(None);
                }
                Box::pin(self.learn(context, team, &step, reply)).await?;
                Ok(None)
            }
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
        // What a call ends with will be wanted as well.
        let wanted = Arc::make_mut(self.wanted.get_or_insert_default());
        wanted.ends_of(found.calls.iter().filter_map(|(_, record)| record.as_ref()));
        // Of a call that was to be ended something else may be kept than was thought: who makes it may have marked it.
        wanted.calls.extend(step.overdue.iter().map(|(id, _, _)| *id));
        let is_new = found.revision.is_none() && {
            let cache = team.cache();
            cache.revision().is_none() && cache.memory.is_none()
        };
        if !is_new {
            self.new = None;
            return restore::hear(context, team, step, reply).await;
        }
        self.begin(context, team, step, reply).await
    }

    /// There is nothing of the team, and this process has never seen it: it is new, or it was lost.
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
                let (epoch, name) = (u64::try_from(reply.at).unwrap_or(1), context.keeper.name_step());
                Revision { epoch, number: 0, name }
            }
            // Another process may have made it since it was read.
            None if !std::mem::replace(&mut self.was_made, true) => return Ok(()),
            None => return restore::lose(context, team, (None, found.team), false).await,
        };
        let due = (step.from, first_due(reply.at, context.rules));
        let new = self.new.get_or_insert_default();
        new.learn(Found { revision: Some(revision), ..found }, 0, due);
        Ok(())
    }

    /// Leaves a mark, and asks then: should the keeper be emptied from here on, the mark is gone with what is found out
    /// now.
    async fn may_be_made<K: Keeper, T>(&mut self, context: &Context<'_, K, T>, team: &Team) -> Result<bool, Outage> {
        self.mark = context.keeper.name_step();
        context.keeper.leave_mark(&team.id, self.mark).await?;
        context.keeper.may_be_made(&team.id, self.accepts).await
    }
}

/// Says of each call that was to be marked whether it is still open.
fn answer_marks(answers: &mut [Answer], batch: &Batch, step: &Step, reply: &Reply, cache: &mut TeamCache) {
    let marked = |id: ReservationId| step.marks.iter().zip(&reply.marked).find(|(mark, _)| mark.id == id);
    for (operation, answer) in batch.iter().zip(answers) {
        if let (Operation::Dispatch { id, .. } | Operation::Recall { id, .. }, Answer::IsOpen(open)) =
            (operation, answer)
            && let Some((mark, marked)) = marked(*id)
        {
            *open = *marked == Marked::Done;
            cache.mark(*id, mark.to.clone(), *open);
        }
    }
}
