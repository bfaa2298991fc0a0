//! Callers: each makes the operations of one gateway request, or those of an operator, in its
//! process.

use std::pin::pin;
use std::sync::{Arc, PoisonError};

use futures_util::future::{Either, select};

use super::bounds::Fault;
use super::losses::Certainty;
use super::process::{Process, TRY_AGAIN};
use super::random::Random;
use super::scenario::{SECOND, TTL};
use super::world::Shared;
use crate::credits::Credits;
use crate::ledger::keeper::{Operation, Response};
use crate::ledger::{
    CallResult, Outage, Outcome, Phase, ReservationId, Row, Scope, Settled, Settlement, TopUp,
    TopUpId, ToppedUp, Verdict,
};

/// Runs one caller.
pub(super) async fn call(
    process: Arc<Process>,
    (caller, team): (usize, usize),
    mut random: Random,
) {
    let _present = Present::new(&process.world);
    match random.below(16) {
        0 => {
            let admission = {
                let mut world = process.world.lock();
                let (id, limits) = (world.new_id(), world.limits_at[process.number]);
                let scenario = &world.stores[team].checker.scenario;
                Box::new(scenario.admission(id, Phase::Waiting, limits, &mut random))
            };
            let _ = process.ask(team, |response| Operation::Quote { admission, response }).await;
        }
        1 => {
            let query =
                Box::new(process.world.lock().stores[team].checker.scenario.query(&mut random));
            let _ = process.ask(team, |response| Operation::Snapshot { query, response }).await;
        }
        2 => top_up(&process, team, &mut random).await,
        _ => Call::new(&process, (caller, team), random).go().await,
    }
}

/// Counts a caller that has not ended. Dropped with its process if that crashes.
struct Present(Shared);

impl Present {
    fn new(world: &Shared) -> Self {
        world.lock().callers += 1;
        Self(world.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.lock().callers -= 1;
    }
}

/// Tops up the team's prepaid budget: one of a few top-ups, so that some are repeated.
async fn top_up(process: &Arc<Process>, team: usize, random: &mut Random) {
    let number = random.below(3);
    let id = TopUpId::parse(&format!("top-up-{number}")).unwrap();
    let credits = Credits::from_micros(number + 1);
    for _ in 0..3 {
        let top_up = Box::new(TopUp { id: id.clone(), scope: Scope::Team, credits });
        let answer = process.ask(team, |response| Operation::TopUp { top_up, response }).await;
        if let Ok(answer) = answer {
            let store = &mut process.world.lock().stores[team];
            if matches!(answer, ToppedUp::Before(_)) {
                store.checker.sees("a top-up came twice");
            }
            let may_be_lost = store.checker.losses.last.is_some();
            let is_kept = store.state.top_ups.contains_key(&id) || may_be_lost;
            let is_well = is_kept && !matches!(answer, ToppedUp::Taken | ToppedUp::TooMuch);
            store.checker.hold(is_well, || format!("the top-up {id} was answered {answer:?}"));
            return;
        }
        process.world.sleep(TRY_AGAIN).await;
    }
}

/// A call that is paid for.
struct Call<'a> {
    process: &'a Arc<Process>,
    team: usize,
    random: Random,
    id: ReservationId,
    phase: Phase,
}

/// Outcome of a call.
struct End {
    outcome: Outcome,
    charged: u64,
}

const NOT_SENT: End = End { outcome: Outcome::Released, charged: 0 };
const REFUSED: End = End { outcome: Outcome::Refused, charged: 0 };

impl<'a> Call<'a> {
    fn new(process: &'a Arc<Process>, (caller, team): (usize, usize), mut random: Random) -> Self {
        let mut world = process.world.lock();
        let id = world.new_id();
        world.stores[team].checker.call(id).owner = process.incarnation;
        let phase = if random.once_in(2) { Phase::Waiting } else { Phase::Dispatched };
        world.log(|| {
            format!(
                "process {}: caller {caller} comes to team {team} with {id}, {phase:?}",
                process.number
            )
        });
        Self { process, team, random, id, phase }
    }

    async fn go(mut self) {
        let Some(price) = self.admitted().await else { return };
        let running = || self.process.running.lock().unwrap_or_else(PoisonError::into_inner);
        running().insert((self.team, self.id));
        let end = self.way(price).await;
        self.settle(end).await;
        self.process
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(self.team, self.id));
    }

    /// Asks for admission. Returns the price if the call is admitted and the caller is still there.
    async fn admitted(&mut self) -> Option<u64> {
        let (admission, limits) = {
            let mut world = self.process.world.lock();
            let limits = world.limits_at[self.process.number];
            let checker = &mut world.stores[self.team].checker;
            let admission =
                checker.scenario.admission(self.id, self.phase, limits, &mut self.random);
            checker.call(self.id).known_limits.clone_from(&admission.levels);
            (Box::new(admission), limits)
        };
        let price = admission.price.micros();
        let patience = self.patience();
        let claim = {
            let answer = pin!(
                self.process.ask(self.team, |response| Operation::Admit { admission, response })
            );
            let leaves = pin!(self.process.world.sleep(patience));
            match select(answer, leaves).await {
                Either::Left((claim, _)) => claim.ok(),
                Either::Right(_) => None,
            }
        };
        let verdict = claim.and_then(|claim| claim.take());
        let mut world = self.process.world.lock();
        world.log(|| {
            format!(
                "process {}: {} is told {}",
                self.process.number,
                self.id,
                word(verdict.as_ref())
            )
        });
        let checker = &mut world.stores[self.team].checker;
        if matches!(verdict, Some(Verdict::Admitted { .. })) && limits > 0 {
            checker.sees("a call was admitted under changed limits");
        }
        let known = checker.call(self.id);
        let (was_reserved, was_lost) = (known.price.is_some(), known.was_lost);
        match verdict {
            Some(Verdict::Admitted { .. }) => {
                known.answered_admitted = true;
                // The process may learn of the admission from a read instead of the answer.
                let opened_at = known.opened_at;
                checker.losses.answered(opened_at);
                checker.hold(was_reserved, || {
                    format!("{} is told it is admitted, and is not", self.id)
                });
                Some(price)
            }
            Some(Verdict::Refused { .. }) => {
                known.answered_refused = true;
                checker.sees("a limit refused");
                let holds = was_reserved && !was_lost;
                checker.hold(!holds, || {
                    format!("{} is told it is refused, and holds credits", self.id)
                });
                None
            }
            None => {
                known.abandoned = true;
                None
            }
        }
    }

    /// How long the caller waits for an answer.
    fn patience(&mut self) -> i64 {
        let leaves = self.process.world.lock().network.bounds.allow(Fault::Leaving)
            && self.random.once_in(6);
        if leaves { self.random.between(0, 5_000) } else { 10 * TTL }
    }

    /// Sends the call to the upstream, and again if it is turned back.
    async fn way(&mut self, price: u64) -> End {
        let mut was_sent = false;
        loop {
            if self.phase != Phase::Dispatched {
                let waits =
                    if self.is_slow() { 2 * TTL } else { SECOND / if was_sent { 50 } else { 5 } };
                self.pass(waits).await;
                // The caller leaves, or the mark fails: the call is not sent.
                let leaves = self.random.once_in(10);
                if leaves || !self.mark(Phase::Dispatched).await {
                    return if was_sent { REFUSED } else { NOT_SENT };
                }
            } else if self.random.once_in(12) {
                // No connection could be made.
                return if was_sent { REFUSED } else { NOT_SENT };
            }
            was_sent = true;
            let what = self.random.below(8);
            self.process.world.lock().stores[self.team].checker.sent(self.id, what > 2);
            let is_turned_back = matches!(what, 1 | 2);
            let takes =
                if self.is_slow() { 2 * TTL } else { SECOND / if is_turned_back { 50 } else { 2 } };
            self.pass(takes).await;
            match what {
                0 => return REFUSED,
                _ if is_turned_back => {
                    if !self.mark(Phase::TurnedBack).await {
                        return REFUSED;
                    }
                }
                3 => return End { outcome: Outcome::Unknown, charged: price },
                _ => {
                    return End {
                        outcome: Outcome::Charged,
                        charged: 1 + self.random.below(price),
                    };
                }
            }
        }
    }

    /// Whether the call takes longer than an unrenewed reservation lives. Never after the faults
    /// have ended, so that the history ends.
    fn is_slow(&mut self) -> bool {
        self.random.once_in(4) && !self.process.world.lock().network.is_whole
    }

    async fn pass(&mut self, most: i64) {
        let during = self.random.between(0, most);
        self.process.world.sleep(during).await;
    }

    /// Marks the call's phase in the ledger.
    async fn mark(&mut self, phase: Phase) -> bool {
        self.phase = phase;
        let id = self.id;
        let answer = self
            .process
            .ask(self.team, |response: Response<bool>| match phase {
                Phase::Dispatched => Operation::Dispatch { id, response },
                Phase::Waiting | Phase::TurnedBack => Operation::Recall { id, response },
            })
            .await;
        self.process
            .world
            .lock()
            .log(|| format!("process {}: {id} is {phase:?}: {answer:?}", self.process.number));
        answer.unwrap_or(false)
    }

    /// Settles, with retries until it succeeds; some calls settle twice at once, some again later.
    async fn settle(&mut self, end: End) {
        let End { outcome, charged } = end;
        let (result, keeps_slots) =
            (CallResult { status: 200, ..CallResult::default() }, self.random.once_in(3));
        // The final check does not model slots after a loss.
        let keeps_slots = keeps_slots && !self.process.world.lock().loses;
        let settlement = Settlement {
            id: self.id,
            outcome,
            charged: Credits::from_micros(charged),
            result,
            keeps_slots,
        };
        if self.random.once_in(6) {
            futures_util::future::join(self.ends(&settlement), self.ends(&settlement)).await;
        }
        self.ends(&settlement).await;
        if keeps_slots {
            self.pass(SECOND / 5).await;
            let id = self.id;
            // If that fails, a sweep frees them.
            let _ = self
                .process
                .ask(self.team, |response| Operation::ReleaseSlots { id, response })
                .await;
        }
    }

    async fn ends(&self, settlement: &Settlement) {
        loop {
            let again = Box::new(settlement.clone());
            let settled = self
                .process
                .ask(self.team, |response| Operation::Settle { settlement: again, response })
                .await;
            self.check_settled(&settled, settlement);
            if settled.is_ok() {
                return;
            }
            self.process.world.sleep(TRY_AGAIN).await;
        }
    }

    fn check_settled(&self, settled: &Result<Settled, Outage>, end: &Settlement) {
        let mut world = self.process.world.lock();
        world.log(|| {
            format!(
                "process {}: {} ends {:?}: {settled:?}",
                self.process.number, self.id, end.outcome
            )
        });
        let checker = &mut world.stores[self.team].checker;
        let row = checker.call(self.id).row.clone();
        match settled {
            Ok(Settled::Now(charged)) => {
                let before = checker.call(self.id).answered_charge.replace(charged.micros());
                let is_whole = checker.losses.certainty == Certainty::Whole;
                checker.hold(before.is_none(), || {
                    format!("{} was told twice that it ends now", self.id)
                });
                let is_it = |row: Row| row.outcome == end.outcome && row.charged == *charged;
                let is_mine = row.is_some_and(is_it) || !is_whole;
                checker.hold(is_mine, || {
                    format!("{} was told {charged}, and its row says otherwise", self.id)
                });
            }
            Ok(Settled::Before) => {
                checker.sees("a call had ended before");
                let is_late = checker.losses.certainty >= Certainty::Late;
                checker.hold(row.is_some() || is_late, || {
                    format!("{} was told that it has ended, and has not", self.id)
                });
            }
            Err(_) => {}
        }
    }
}

const fn word(verdict: Option<&Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Admitted { .. }) => "admitted",
        Some(Verdict::Refused { .. }) => "refused",
        None => "nothing",
    }
}
