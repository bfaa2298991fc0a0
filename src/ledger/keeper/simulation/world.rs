//! One history's world: its time, what is going to happen, and what all its tasks share.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bounds::{Bounds, Fault, Meddling};
use super::planted::Planted;
use super::promises::Promises;
use super::random::Random;
use super::store::Store;
use super::terms::{SECOND, Terms};
use super::wire::{Answer, Request, Slot, Wire};
use crate::ledger::ReservationId;
use crate::ledger::keeper::{Expected, Reply, Step};

/// How long a process waits for an answer, in microseconds.
pub(super) const DEADLINE: i64 = 250_000;

/// How long things go wrong, in microseconds.
pub(super) const TROUBLE: i64 = 5 * SECOND;

/// How long a loss is being seen to, at most: it is noticed, all restore what they know, and the
/// keeper's clock may have been set back meanwhile.
pub(super) const RESTORING: i64 = 3 * SECOND;

/// A task of a process.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Something that is going to happen.
pub(super) enum Event {
    /// A request arrives at the keeper, if it is still the server to which it was sent.
    Arrives {
        from: (usize, u64),
        server: u64,
        team: usize,
        request: Request,
        slot: Slot,
        is_answered: bool,
    },
    /// An answer arrives, or a time is over.
    Fills(Slot, Answer),
    /// Somebody calls.
    Calls { process: usize, team: usize, caller: usize },
    /// A process hears of other limits, as it reads its settings anew.
    HearsOfLimits { process: usize, limits: usize },
    /// Something goes wrong with a process, for so long.
    GoesWrong { fault: Fault, process: usize, during: i64 },
    /// A process that stood still goes on; one that died starts anew.
    GoesOn { process: usize },
    /// A replica of the store has all of it, and nothing that comes later.
    IsCopied,
    /// Nothing goes wrong any more.
    Heals,
    /// The history is over.
    Ends,
}

/// The clock of a process: how far it is ahead, and how many millionths too fast it goes.
#[derive(Clone, Copy, Default)]
pub(super) struct WrongBy {
    pub(super) ahead: i64,
    pub(super) too_fast: i64,
}

/// The world.
pub(super) struct World {
    /// In microseconds of Unix time.
    pub(super) now: i64,
    pub(super) terms: Terms,
    pub(super) wire: Wire,
    /// What the keeper has, of each team, and what is counted of it.
    pub(super) stores: Vec<Store>,
    /// Which server it is: another one after each promotion.
    pub(super) server: u64,
    pub(super) planted: Planted,
    /// Which of their limits each process knows.
    pub(super) limits_at: Vec<usize>,
    /// How many steps have come to the keeper while things may go wrong.
    pub(super) steps: u64,
    pub(super) clocks: Vec<WrongBy>,
    /// The store may lose what was written: all look after the team in less time than they have
    /// then.
    pub(super) loses: bool,
    /// How far the keeper's clock is ahead.
    pub(super) keeper_ahead: i64,
    /// Tasks that were begun and are yet to be polled, with their processes.
    pub(super) begun: Vec<(usize, Task)>,
    /// Callers that have not come to their end.
    pub(super) callers: usize,
    events: BTreeMap<(i64, u64), Event>,
    order: u64,
    ids: Random,
    /// What has happened, if somebody wants to read it.
    pub(super) story: Option<Vec<String>>,
}

/// The world, as all its tasks share it.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for so many microseconds.
    pub(super) async fn sleep(&self, during: i64) {
        let slot = Slot::default();
        self.lock().after(during, Event::Fills(slot.clone(), Answer::Yes(true)));
        slot.await;
    }
}

impl World {
    pub(super) fn begin(seed: u64, planted: Planted, bounds: &Bounds, is_told: bool) -> Shared {
        let several = if Random::new(seed, 8).once_in(4) { bounds.teams } else { 1 };
        let all: Vec<Terms> = (0..several).map(|team| Terms::of(seed, team)).collect();
        let begins = all[0].begins;
        let store = |terms: &Terms| Store::new(Promises::new(terms.clone(), begins), planted);
        let stores = all.iter().map(store).collect();
        let terms = all[0].clone();
        Shared(Arc::new(Mutex::new(Self {
            now: terms.begins,
            wire: Wire::new(seed, bounds.clone()),
            stores,
            server: 1,
            planted,
            limits_at: vec![0; bounds.processes],
            steps: 0,
            clocks: vec![WrongBy::default(); bounds.processes],
            loses: Random::new(seed, 7).once_in(3)
                && Fault::LOSSES.iter().any(|fault| bounds.allow(*fault)),
            keeper_ahead: 0,
            begun: Vec::new(),
            callers: 0,
            events: BTreeMap::new(),
            order: 0,
            ids: Random::new(seed, 3),
            story: is_told.then(Vec::new),
            terms,
        })))
    }

    /// Whether everything has healed, and long enough ago that nothing is under way from before.
    pub(super) fn is_well(&self) -> bool {
        let has_lost = self.stores.iter().any(|store| store.promises.losses.last.is_some());
        let restoring = if has_lost { RESTORING } else { 0 };
        self.now >= self.terms.begins + TROUBLE + restoring + 4 * DEADLINE
    }

    /// Adds a line to the story.
    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        let since = self.now - self.terms.begins;
        if let Some(story) = &mut self.story {
            story.push(format!("{:>10} {}", since, line()));
        }
    }

    /// Lets something happen after so many microseconds.
    pub(super) fn after(&mut self, during: i64, event: Event) {
        self.order += 1;
        self.events.insert((self.now + during.max(0), self.order), event);
    }

    /// What happens next; time goes on until then.
    pub(super) fn next(&mut self) -> Option<Event> {
        let ((at, _), event) = self.events.pop_first()?;
        self.now = at;
        Some(event)
    }

    /// An id that nobody else has.
    pub(super) fn new_id(&mut self) -> ReservationId {
        let number = (u128::from(self.ids.next()) << 64) | u128::from(self.ids.next());
        format!("{number:032x}").parse().unwrap()
    }

    /// What a process' own clock says.
    pub(super) fn clock_of(&self, process: usize) -> i64 {
        let WrongBy { ahead, too_fast } = self.clocks[process];
        self.now + ahead + (self.now - self.terms.begins) * too_fast / 1_000_000
    }

    /// Sends a request on its way; the answer comes into the slot, or that there was none by then.
    pub(super) fn send(
        &mut self,
        from: (usize, u64),
        (team, request): (usize, &Request),
        until: i64,
    ) -> Slot {
        let slot = Slot::default();
        let (way, server) = (self.wire.way(from.0, self.now), self.server);
        for delay in &way.arrives {
            let (request, slot, is_answered) = (request.clone(), slot.clone(), way.is_answered);
            self.after(*delay, Event::Arrives { from, server, team, request, slot, is_answered });
        }
        if let Some(breaks) = way.breaks {
            self.after(breaks, Event::Fills(slot.clone(), Answer::Broken));
        }
        self.after(until - self.now, Event::Fills(slot.clone(), Answer::TimedOut));
        slot
    }

    /// The number of the server, as processes are told it.
    pub(super) const fn server_as_told(&self) -> u64 {
        if matches!(self.planted, Planted::SameReplicationId) { 1 } else { self.server }
    }

    /// A request arrives at the keeper, and is answered.
    pub(super) fn arrive(
        &mut self,
        from: (usize, u64),
        (team, request): (usize, &Request),
        answers: Option<Slot>,
    ) {
        let may_be = matches!(request, Request::Step(_)) && !self.wire.is_whole;
        let meddled = if may_be { self.wire.bounds.meddles(&mut self.steps) } else { None };
        if meddled == Some(Meddling::Lost) {
            return;
        }
        let ((process, voucher), at) = (from, self.now + self.keeper_ahead);
        let store = &mut self.stores[team];
        let answer = match request {
            Request::Step(step) => {
                let is_refused = meddled == Some(Meddling::Refused);
                let mut reply = if is_refused {
                    store.refuse(step, voucher, at)
                } else {
                    store.step(step, voucher, at)
                };
                if let (Planted::TeamsMixed, Some(found)) = (self.planted, &mut reply.found) {
                    self.stores[0].mixes(found);
                }
                self.tell(|| line_of((process, team), step, &reply, at));
                Answer::Reply(Box::new(reply))
            }
            Request::LeaveMark(mark) => {
                store.leave_mark(*mark, at);
                Answer::Yes(true)
            }
            Request::IsNoted => Answer::Yes(store.is_noted()),
            Request::Note => {
                store.note();
                Answer::Yes(true)
            }
            Request::Vouch => Answer::Yes(store.vouches(at)),
        };
        let answer = match meddled {
            Some(Meddling::AnswerLost) => return,
            Some(Meddling::Broken) => Answer::Broken,
            Some(Meddling::Refused | Meddling::Lost) | None => answer,
        };
        if let Some(slot) = answers.filter(|_| !self.wire.is_cut(process, self.now)) {
            let delay = self.wire.delay();
            self.after(delay, Event::Fills(slot, answer));
        }
    }
}

fn line_of((process, team): (usize, usize), step: &Step, reply: &Reply, at: i64) -> String {
    let changes = &step.changes;
    let expected = match step.expected {
        Expected::Revision(revision) => revision.to_string(),
        other @ (Expected::Anything | Expected::Nothing(_)) => format!("{other:?}"),
    };
    let short = |id: &ReservationId| id.to_string().chars().take(6).collect::<String>();
    let opened: Vec<_> = changes.opened.keys().map(short).collect();
    let rows: Vec<_> =
        changes.rows.iter().map(|row| format!("{} {:?}", short(&row.id), row.outcome)).collect();
    let marks: Vec<_> = step
        .marks
        .iter()
        .map(|mark| format!("{} {:?}", short(&mark.id), mark.to.phase()))
        .collect();
    let (verdict, marked) = (reply.verdict, &reply.marked);
    let claims = changes.opened.values().any(|record| record.claimed > 0);
    let restores = match changes.team.as_ref().and_then(|team| team.loss.as_ref()) {
        Some(loss) if loss.closed => ", the team is closed",
        Some(_) => ", the team is open after a loss",
        None if claims || !changes.restored.is_empty() => ", what was lost comes back",
        None => "",
    };
    let late = at - step.from;
    let makes = if step.is_made() { format!(" makes {}", step.makes) } else { String::new() };
    format!(
        "process {process}, team {team}: step on {expected}{makes}, {late} µs old: {verdict:?}; opens {opened:?}, ends \
         {rows:?}, marks {marks:?} {marked:?}, renews {}{restores}",
        step.renewed.len()
    )
}
