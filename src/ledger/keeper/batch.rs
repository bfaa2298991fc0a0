//! Carries a batch through: works it out, has it written if nothing has changed since, or works it out again.

use std::sync::Arc;

use super::abandoned::Abandoned;
use super::cache::TeamCache;
use super::operation::Operation;
use super::queue::{Batch, Team};
use super::revision::Revision;
use super::step::{Expected, Found, Marked, Reply, Step, Verdict};
use super::view::Missing;
use super::wanted::{self, Wanted};
use super::work::{self, Answer, Work};
use super::{Keeper, KeeperTime};
use crate::ledger::machine::Rules;
use crate::ledger::{Observer, Outage, ReservationId, soft};

/// How often a batch is sent at most. Each attempt that changes nothing brings what is newer; the others of the team go on
/// meanwhile, so that it is never long before one of them is the first.
const ATTEMPTS: usize = 64;

/// How often a batch is refused in a row before the others are asked to let it go first.
const REFUSED_MOST: u32 = 2;

/// What all batches of a process share.
pub(in crate::ledger) struct Context<'a, K, T> {
    pub(in crate::ledger) keeper: &'a K,
    pub(in crate::ledger) time: &'a T,
    pub(in crate::ledger) rules: &'a Rules,
    pub(in crate::ledger) observer: &'a dyn Observer,
    pub(in crate::ledger) abandoned: &'a Arc<Abandoned>,
}

/// Carries a batch through and hands out the answers, or why there are none.
pub(in crate::ledger) async fn carry_through<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
    batch: Batch,
) -> Result<(), Outage> {
    context.observer.batch(batch.len());
    match attempts(context, team, &batch).await {
        Ok(carried) => {
            carried.hand_out(context, team, batch);
            Ok(())
        }
        Err(outage) => {
            for operation in batch {
                // Whether it was reserved is not known; nobody will use it.
                if let Operation::Admit { admission, .. } = &operation {
                    context.abandoned.add(&team.id, admission.id);
                }
                operation.fail(outage.clone());
            }
            Err(outage)
        }
    }
}

/// A batch that was carried through.
struct Carried {
    work: Work,
    /// Why its admissions do not stand after all.
    void: Option<Outage>,
}

impl Carried {
    fn hand_out<K, T>(self, context: &Context<'_, K, T>, team: &Arc<Team>, batch: Batch) {
        let Work { answers, swept, crossed, .. } = self.work;
        for ended in swept {
            context.observer.swept(&team.id, ended.swept, &ended.charges);
        }
        soft::tell(context.observer, &team.id, &crossed);
        for (operation, answer) in batch.into_iter().zip(answers) {
            operation.answer(answer, &team.id, context.abandoned, self.void.as_ref());
        }
    }
}

async fn attempts<K: Keeper, T: KeeperTime>(
    context: &Context<'_, K, T>,
    team: &Arc<Team>,
    batch: &Batch,
) -> Result<Carried, Outage> {
    let wanted = wanted::of(batch, &team.cache());
    let mut attempt = Attempt { wanted, fresh: false, new: None, was_made: false, opens_since: None, refused: 0 };
    for _ in 0..ATTEMPTS {
        if attempt.opens_since.is_some_and(|since| context.time.now() >= deadline(since, context.rules)) {
            return Err(Outage::TimedOut);
        }
        let (step, work) = attempt.prepare(context, team, batch);
        let (step, work) = match (step, work) {
            (None, Some(work)) => return Ok(Carried { work, void: None }),
            (Some(step), work) => (step, work),
            (None, None) => break,
        };
        if team.cache().revision().is_none() {
            context.keeper.trust(&team.id).await?;
        }
        let reply = context.keeper.step(&team.id, &step).await?;
        context.time.learn(reply.at);
        if let Some(carried) = attempt.take(context, team, batch, (step, work), reply).await? {
            return Ok(carried);
        }
    }
    Err(Outage::Refused("the team's records change with every answer".to_owned()))
}

/// How far the attempts at one batch have come.
struct Attempt {
    wanted: Wanted,
    /// What is known was just told, and nothing was sent since.
    fresh: bool,
    /// The records of a team that is yet to be made.
    new: Option<TeamCache>,
    /// The keeper says that it had this team before.
    was_made: bool,
    /// For when the first step was that opens calls. Whether it was written may be unknown: what it
    /// opened is not swept within the life of a reservation from then on, and after that nothing is
    /// opened, lest it be opened a second time.
    opens_since: Option<i64>,
    /// How often others were first.
    refused: u32,
}

impl Attempt {
    /// What is to be sent, and what it would answer. No step: the answer is known.
    fn prepare<K, T: KeeperTime>(
        &mut self,
        context: &Context<'_, K, T>,
        team: &Arc<Team>,
        batch: &Batch,
    ) -> (Option<Step>, Option<Work>) {
        let now = context.time.now();
        let guard = team.cache();
        let cache = self.new.as_ref().unwrap_or(&*guard);
        let reading =
            |wanted: &Wanted| Step::reading(now, wanted.clone(), work::renewed(batch), deadline(now, context.rules));
        let Some(revision) = cache.revision() else { return (Some(reading(&self.wanted)), None) };
        let unknown = work::unknown_marks(batch, cache);
        let worked = if unknown.is_empty() {
            work::work_out(&team.id, batch, cache, context.rules, now)
        } else {
            Err(Missing::of(Wanted { calls: unknown, ..Wanted::default() }))
        };
        let mut work = match worked {
            Ok(work) => work,
            Err(Missing(more)) => {
                self.wanted.add(*more);
                self.fresh = false;
                return (Some(reading(&self.wanted)), None);
            }
        };
        // Should one of these not be overdue any more, its deadline was put off, which moves no revision.
        self.wanted.due |= !work.overdue.is_empty();
        let (marks, renewed) = (work::marks(batch, cache), work::renewed(batch));
        if self.fresh && work.changes.is_nothing() && marks.is_empty() && renewed.is_empty() {
            return (None, Some(work));
        }
        if !work.changes.opened.is_empty() {
            work.until = work.until.min(deadline(*self.opens_since.get_or_insert(now), context.rules));
        }
        let expected = if self.new.is_some() { Expected::Nothing } else { Expected::Revision(revision) };
        let step = Step {
            expected,
            makes: if self.new.is_some() { revision } else { revision.next() },
            from: now,
            until: work.until,
            marks,
            renewed,
            deadline: deadline(now, context.rules),
            unopened: std::mem::take(&mut work.unopened),
            overdue: std::mem::take(&mut work.overdue),
            changes: std::mem::take(&mut work.changes),
            wanted: self.wanted.clone(),
            wants_turn: self.refused >= REFUSED_MOST,
        };
        (Some(step), Some(work))
    }

    /// Takes note of a reply. The batch is carried through when its changes are made.
    async fn take<K: Keeper, T: KeeperTime>(
        &mut self,
        context: &Context<'_, K, T>,
        team: &Arc<Team>,
        batch: &Batch,
        (step, work): (Step, Option<Work>),
        reply: Reply,
    ) -> Result<Option<Carried>, Outage> {
        self.fresh = false;
        match (reply.verdict, work) {
            (Verdict::Done, Some(mut work)) => {
                if self.new.is_some() {
                    context.keeper.made(&team.id).await;
                }
                let mut cache = team.cache();
                if let Some(new) = self.new.take() {
                    *cache = new;
                }
                if cache.lacks_marks(reply.marks) {
                    return Err(Outage::Lost);
                }
                cache.note_marks(reply.marks);
                answer_marks(&mut work.answers, batch, &step, &reply, &mut cache);
                if step.is_made() {
                    cache.change(step.changes, step.makes);
                }
                Ok(Some(Carried { work, void: reply.void }))
            }
            (Verdict::OtherTime, _) => {
                // It was not written, and its moment was none.
                self.opens_since.take_if(|since| *since == step.from);
                Ok(None)
            }
            (Verdict::OthersTurn, _) => {
                context.keeper.let_another_go_first().await;
                Ok(None)
            }
            (Verdict::Told | Verdict::Done, _) => {
                if matches!(step.expected, Expected::Revision(_)) {
                    self.refused += 1;
                }
                self.learn(context, team, &step, reply).await?;
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
        let Some(found) = reply.found else { return Ok(()) };
        self.fresh = true;
        // What a call ends with will be wanted as well.
        let ends = found.calls.iter().filter_map(|(_, record)| record.clone());
        self.wanted.ends_of(ends);
        // Of a call that was to be ended something else may be kept than was thought: who makes it may have marked it.
        self.wanted.calls.extend(step.overdue.iter().map(|(id, _, _)| *id));
        let due = (step.from, first_due(reply.at, context.rules));
        {
            let mut cache = team.cache();
            if cache.knows_better(found.revision, reply.marks) {
                return Err(Outage::Lost);
            }
            if found.revision.is_some() {
                self.new = None;
                cache.learn(found, reply.marks, due);
                return Ok(());
            }
        }
        let revision = match self.new.as_ref().and_then(TeamCache::revision) {
            Some(revision) => revision,
            None if context.keeper.may_be_made(&team.id).await? => {
                Revision { epoch: u64::try_from(reply.at).unwrap_or(1), number: 0 }
            }
            // Another process may have made it since it was read.
            None if !std::mem::replace(&mut self.was_made, true) => return Ok(()),
            None => return Err(Outage::Lost),
        };
        let new = self.new.get_or_insert_default();
        new.learn(Found { revision: Some(revision), ..found }, 0, due);
        Ok(())
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

/// When a call is due that is opened or renewed at a moment, in microseconds of Unix time.
pub(super) fn deadline(now: i64, rules: &Rules) -> i64 {
    now.saturating_add(i64::try_from(rules.reservation_ttl.as_micros()).unwrap_or(i64::MAX))
}

/// Nothing that is opened or renewed after a moment of the keeper's time is due before this.
fn first_due(now: i64, rules: &Rules) -> i64 {
    deadline(now, rules).saturating_sub(work::UNDER_WAY)
}
