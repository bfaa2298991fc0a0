//! What this process has seen of each team's history in the store, and its own part in it: enough to notice when the store
//! has lost some of it, and to bring it back.
//!
//! All handles of a process share it. What is kept of calls is bounded; how much was counted, which is little, is kept for
//! as long as the process lives, so that a budget is never fresh again even where the single calls are forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::counts::{Counts, Floor};
use super::keys::scope_name;
use super::loss::{Loss, Point};
use super::request::record;
use super::told::Count;
use crate::credits::Credits;
use crate::ledger::calendar::Calendar;
use crate::ledger::{Admission, Level, Phase, ReservationId, Scope, Settlement, TopUp};
use crate::team::TeamId;

/// How many calls that have ended are kept, over all teams: what a failed-over primary may lack, and a good deal more.
const ENDED_MOST: usize = 8_192;
/// How long one that has ended is kept, as long as others come.
const ENDED_FOR: SignedDuration = SignedDuration::from_mins(10);
/// The most levels whose counts are kept, of one team: its users may be many.
const LEVELS_MOST: usize = 4_096;

/// How many top-ups by this process are kept, of one team.
const TOP_UPS_MOST: usize = 256;

/// What this process has seen, team by team.
#[derive(Default)]
pub(super) struct Witness {
    teams: Mutex<HashMap<TeamId, Arc<Mutex<Seen>>>>,
    ended: Arc<AtomicUsize>,
    /// Whether it was told that the store is empty and held.
    pub(super) told_held: AtomicBool,
}

impl Witness {
    /// What was seen of one team.
    pub(super) fn of(&self, team: &TeamId) -> Arc<Mutex<Seen>> {
        let mut teams = self.teams.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = teams.entry(team.clone()).or_insert_with(|| {
            let ended_everywhere = Arc::clone(&self.ended);
            Arc::new(Mutex::new(Seen { ended_everywhere, ..Seen::default() }))
        });
        Arc::clone(seen)
    }

    /// The teams whose budgets are closed, by name.
    pub(super) fn closed(&self) -> Vec<TeamId> {
        let teams = self.teams.lock().unwrap_or_else(PoisonError::into_inner);
        let mut closed: Vec<_> =
            teams.iter().filter(|(_, seen)| locked(seen).is_closed).map(|(team, _)| team.clone()).collect();
        closed.sort_unstable();
        closed
    }
}

/// What was seen, for a moment in which nobody else looks.
pub(super) fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What this process has seen of one team.
#[derive(Default)]
pub(super) struct Seen {
    /// The latest point it has seen the store at.
    pub(super) known: Point,
    is_closed: bool,
    /// The epoch of the last loss that was told of.
    told: u64,
    open: HashMap<ReservationId, Entry>,
    ended: VecDeque<(ReservationId, Entry)>,
    ended_everywhere: Arc<AtomicUsize>,
    counts: HashMap<Scope, Counts>,
    /// The most that was seen topped up of a scope, in millionths.
    topped_up: HashMap<Scope, u64>,
    /// This process's own top-ups, and when the store had them.
    top_ups: VecDeque<(TopUp, Point)>,
}

/// A call that this process had admitted.
struct Entry {
    admission: Box<Admission>,
    calendar: Arc<Calendar>,
    admitted_at: Timestamp,
    admitted: Point,
    /// The last change of it: dispatched, or ended.
    last: Point,
    end: Option<Box<Settlement>>,
}

/// A call that the store lacks, or lacks the end of.
pub(super) struct LostCall {
    pub(super) id: ReservationId,
    pub(super) admission_is_lost: bool,
    /// As the script keeps it.
    pub(super) record: String,
    pub(super) end: Option<Box<Settlement>>,
}

impl Seen {
    /// Notes where the store stands.
    pub(super) fn learns(&mut self, now: Point) {
        self.known = self.known.max(now);
    }

    /// The same, after an answer. Says whether it has just opened again after a loss.
    pub(super) fn opens(&mut self, now: Point) -> bool {
        self.learns(now);
        std::mem::take(&mut self.is_closed)
    }

    /// Notes a loss, or that it still keeps the team closed. Says whether it is the first that is heard of it.
    pub(super) fn loses(&mut self, loss: &Loss) -> bool {
        self.is_closed = loss.closed;
        std::mem::replace(&mut self.told, loss.now.epoch) != loss.now.epoch
    }

    /// Notes that nothing is known of the team where something should be, and an operator must say what that means. Says
    /// whether that is new.
    pub(super) fn is_held(&mut self) -> bool {
        !std::mem::replace(&mut self.is_closed, true)
    }

    /// Notes that this process holds a reservation.
    pub(super) fn admitted(&mut self, admission: Box<Admission>, calendar: &Arc<Calendar>, at: Timestamp, now: Point) {
        let calendar = Arc::clone(calendar);
        let entry = Entry { admission, calendar, admitted_at: at, admitted: now, last: now, end: None };
        self.open.entry(entry.admission.id).or_insert(entry);
    }

    /// Notes that a reservation was marked as dispatched, or as waiting again.
    pub(super) fn comes_to(&mut self, id: ReservationId, phase: Phase, now: Point) {
        if let Some(entry) = self.open.get_mut(&id) {
            entry.admission.phase = phase;
            entry.last = now;
        }
    }

    /// Notes how a reservation ended, and what it was charged; `None`: not by this process, or it never was.
    pub(super) fn ended(
        &mut self,
        id: ReservationId,
        end: Option<(Box<Settlement>, Credits)>,
        at: Timestamp,
        now: Point,
    ) {
        let Some(mut entry) = self.open.remove(&id) else { return };
        let Some((end, charged)) = end else { return };
        if end.outcome.counts() {
            for level in &entry.admission.levels {
                if let Some(counts) = self.counts.get_mut(&level.scope) {
                    counts.add(&entry.calendar, charged.micros(), now);
                }
            }
        }
        entry.end = Some(end);
        entry.last = now;
        let is_old = |(_, entry): &(_, Entry)| at.duration_since(entry.admitted_at) > ENDED_FOR;
        while self.ended.front().is_some_and(is_old) || self.ended_everywhere.load(Ordering::Relaxed) >= ENDED_MOST {
            if self.ended.pop_front().is_none() {
                // Other teams have taken all the room.
                return;
            }
            self.ended_everywhere.fetch_sub(1, Ordering::Relaxed);
        }
        self.ended.push_back((id, entry));
        self.ended_everywhere.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how much a level counts: of each of its limits, as the script tells it.
    pub(super) fn counted(&mut self, level: &Level, calendar: &Arc<Calendar>, told: &[Count], at: (Timestamp, Point)) {
        // How often somebody looks is no money.
        if matches!(level.scope, Scope::Account(_)) {
            return;
        }
        if !self.counts.contains_key(&level.scope) {
            if self.counts.len() >= LEVELS_MOST {
                return;
            }
            self.counts.insert(level.scope.clone(), Counts::new(calendar));
        }
        let Some(counts) = self.counts.get_mut(&level.scope) else { return };
        let added = counts.told(level, calendar, told, at);
        if added > 0 {
            self.sees_topped_up(&level.scope, added);
        }
    }

    /// This process's calls that the store lacks after a loss.
    pub(super) fn lost_calls(&self, loss: &Loss) -> Vec<LostCall> {
        let all = self.ended.iter().map(|(id, entry)| (id, entry)).chain(&self.open);
        let lost = all.filter_map(|(id, entry)| {
            let runs = entry.end.is_none();
            let admission_is_lost = loss.lacks(entry.admitted) || (runs && loss.lacks_running(entry.admitted));
            (admission_is_lost || loss.lacks(entry.last)).then(|| entry.lost(*id, admission_is_lost))
        });
        lost.collect()
    }

    /// Notes a top-up by this process that the store has, and the sum of all of its scope.
    pub(super) fn topped_up(&mut self, top_up: TopUp, sum: Credits, now: Point) {
        self.sees_topped_up(&top_up.scope, sum.micros());
        self.top_ups.retain(|(known, _)| known.id != top_up.id);
        if self.top_ups.len() == TOP_UPS_MOST {
            self.top_ups.pop_front();
        }
        self.top_ups.push_back((top_up, now));
    }

    fn sees_topped_up(&mut self, scope: &Scope, micros: u64) {
        if let Some(most) = self.topped_up.get_mut(scope) {
            *most = micros.max(*most);
        } else if self.topped_up.len() < LEVELS_MOST {
            self.topped_up.insert(scope.clone(), micros);
        }
    }

    /// This process's top-ups that the store lacks after a loss.
    pub(super) fn lost_top_ups(&self, loss: &Loss) -> Vec<TopUp> {
        let lost = self.top_ups.iter().filter(|(_, point)| loss.lacks(*point));
        lost.map(|(top_up, _)| top_up.clone()).collect()
    }

    /// Notes that the store has these calls again.
    pub(super) fn brought(&mut self, calls: &[LostCall], now: Point) {
        let back = |entry: &mut Entry| (entry.admitted, entry.last) = (now, now);
        for call in calls {
            if let Some(entry) = self.open.get_mut(&call.id) {
                back(entry);
            } else if let Some((_, entry)) = self.ended.iter_mut().find(|(id, _)| *id == call.id) {
                back(entry);
            }
        }
    }

    /// Notes that the store has these top-ups again.
    pub(super) fn brought_top_ups(&mut self, brought: &[TopUp], now: Point) {
        let back = self.top_ups.iter_mut().filter(|(known, _)| brought.contains(known));
        back.for_each(|(_, point)| *point = now);
    }

    /// How much was seen counted and topped up, where the store may have less after a loss.
    pub(super) fn floors(&self) -> Vec<Floor> {
        let topped_up = self.topped_up.iter().map(|(scope, micros)| Floor {
            scope: scope_name(scope),
            field: "p".to_owned(),
            calls: 0,
            credits: *micros,
        });
        self.counts.iter().flat_map(|(scope, counts)| counts.floors(scope)).chain(topped_up).collect()
    }
}

impl Entry {
    fn lost(&self, id: ReservationId, admission_is_lost: bool) -> LostCall {
        let phase = match self.admission.phase {
            Phase::Waiting => 'W',
            Phase::Dispatched => 'D',
            Phase::TurnedBack => 'T',
        };
        let (at, what) = (self.admitted_at.as_microsecond(), record(&self.admission, Some(&self.calendar)));
        LostCall { id, admission_is_lost, record: format!("{phase} {at:016} {what}"), end: self.end.clone() }
    }
}
