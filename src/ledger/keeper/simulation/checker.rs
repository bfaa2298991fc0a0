//! The checker of the promises: a simple model of all writes and of all answers to callers, kept
//! beside the keeper's records.

use std::collections::{BTreeMap, BTreeSet};

use super::losses::{Certainty, Losses};
use super::scenario::Scenario;
use super::state::State;
use crate::ledger::keeper::{Changes, Step};
use crate::ledger::machine::windows::Windows;
use crate::ledger::machine::{ReservationRecord, Revision, ScopeName, ScopeRecord};
use crate::ledger::topup::with_top_ups;
use crate::ledger::{CallResult, Level, Outcome, Phase, ReservationId, Row};
use crate::team::limit::{Period, Shape, Unit};

/// The name of the window of all time.
pub(super) const ALL_TIME: &str = "all time";

/// Counts of a window: requests spent and reserved, credits spent and reserved.
pub(super) type Sum = [u64; 4];

/// The checker's knowledge of one call.
#[derive(Clone, Debug, Default)]
pub(super) struct CallModel {
    /// The reserved price, once it is reserved.
    pub(super) price: Option<u64>,
    /// The scopes that hold it.
    pub(super) scopes: Vec<ScopeName>,
    /// The windows that admitted it, and the revision of that write.
    pub(super) windows: [String; 2],
    pub(super) opened_at: Revision,
    /// The revision at which it was first opened.
    pub(super) first_opened: Revision,
    /// The limits that its process knew when it asked for admission.
    pub(super) known_limits: Vec<Level>,
    /// It was made after a loss, to stand for another.
    pub(super) stands_for_another: bool,
    /// The incarnation of the process that makes it.
    pub(super) owner: u64,
    /// The call or its row was missing from the store after a loss.
    pub(super) was_lost: bool,
    /// No live process had seen it then, except maybe in the team's own scope.
    pub(super) is_unseen: bool,
    pub(super) is_seen_in_team_only: bool,
    /// Stored as dispatched at some time.
    pub(super) was_dispatched: bool,
    /// The caller got the answer that it is admitted, or that it is refused.
    pub(super) answered_admitted: bool,
    pub(super) answered_refused: bool,
    /// The caller has left or got an outage, so the call will not be sent.
    pub(super) abandoned: bool,
    /// How often the upstream received it, and how often it executed it.
    pub(super) sent: u32,
    pub(super) executed: u32,
    /// The charge in the answer to its settlement.
    pub(super) answered_charge: Option<u64>,
    pub(super) row: Option<Row>,
    /// The earlier rows: each was lost, or written while another was lost.
    rows_before: Vec<Row>,
    /// Swept while its process was away, which may have sent it in the lost history.
    pub(super) may_be_sent: bool,
}

impl CallModel {
    /// Whether it has this row, or had it before another replaced it.
    pub(super) fn has_had(&self, row: &Row) -> bool {
        self.rows_before.iter().chain(&self.row).any(|known| known == row)
    }
}

/// The checker.
pub(super) struct Checker {
    pub(super) scenario: Scenario,
    pub(super) calls: BTreeMap<ReservationId, CallModel>,
    pub(super) windows: BTreeMap<(ScopeName, String), Sum>,
    pub(super) losses: Losses,
    /// Scopes that expired: an older copy may have them again.
    pub(super) forgotten: BTreeSet<ScopeName>,
    /// Number of calls that took a token from the buckets of a scope.
    pub(super) tokens: BTreeMap<ScopeName, u64>,
    pub(super) rows: usize,
    /// Coverage: how often the histories reached each situation.
    pub(super) seen: BTreeMap<&'static str, u64>,
    /// The keeper's time, its total progress, and whether it was ever set back.
    at: i64,
    pub(super) forward: u64,
    was_set_back: bool,
    /// The earliest moment for which a step was computed.
    judged_from: i64,
    /// The first violation.
    pub(super) broken: Option<String>,
}

impl Checker {
    pub(super) fn new(scenario: Scenario, at: i64) -> Self {
        Self {
            scenario,
            calls: BTreeMap::new(),
            windows: BTreeMap::new(),
            losses: Losses::default(),
            forgotten: BTreeSet::new(),
            tokens: BTreeMap::new(),
            rows: 0,
            seen: BTreeMap::new(),
            at,
            forward: 0,
            was_set_back: false,
            judged_from: at,
            broken: None,
        }
    }

    /// Notes a violation unless `holds`.
    pub(super) fn hold(&mut self, holds: bool, why: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(why());
        }
    }

    /// Counts a situation for the coverage.
    pub(super) fn sees(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// The model of a call.
    pub(super) fn call(&mut self, id: ReservationId) -> &mut CallModel {
        self.calls.entry(id).or_default()
    }

    /// Notes the keeper's time.
    pub(super) fn it_is(&mut self, at: i64) {
        self.was_set_back |= at < self.at;
        self.forward += u64::try_from(at.saturating_sub(self.at)).unwrap_or(0);
        self.at = at;
    }

    /// Notes the moment for which a step was computed, which decides the levels of buckets. It may
    /// be before everything counted if the process's clock was set back.
    fn judged(&mut self, from: i64) {
        self.forward += u64::try_from(self.judged_from.saturating_sub(from)).unwrap_or(0);
        self.judged_from = self.judged_from.min(from);
    }

    /// Notes a call's new phase in the keeper.
    pub(super) fn marked(&mut self, id: ReservationId, phase: Phase) {
        self.call(id).was_dispatched |= phase == Phase::Dispatched;
    }

    /// Notes that a call is sent to the upstream, which may execute it.
    pub(super) fn sent(&mut self, id: ReservationId, executes: bool) {
        let call = self.call(id);
        call.sent += 1;
        call.executed += u32::from(executes);
        let (dispatched, executed) = (call.was_dispatched, call.executed);
        self.hold(dispatched, || format!("{id} is sent and was never marked"));
        self.hold(executed < 2, || format!("{id} is carried out twice"));
    }

    /// Notes a step that is about to be written.
    pub(super) fn before_writing(&mut self, state: &State, step: &Step, at: i64) {
        let changes = &step.changes;
        if self.restores(state, step, at) {
            return;
        }
        self.judged(step.from);
        let ended: BTreeSet<_> = changes.ended.iter().collect();
        let left: BTreeSet<_> = changes.rows.iter().map(|row| &row.id).collect();
        let is_unread =
            |id: &ReservationId| state.calls.get(id).is_some_and(|record| record.unread);
        let gone: Vec<_> = ended.difference(&left).filter(|id| !is_unread(id)).collect();
        self.hold(gone.is_empty(), || format!("{gone:?} end without a row"));
        for row in &changes.rows {
            let is_swept = row.result == CallResult::default() && !self.call(row.id).abandoned;
            let opened = changes.opened.get(&row.id).filter(|record| !record.unread);
            let record = opened.or_else(|| state.calls.get(&row.id));
            if let Some((record, phase)) = record.and_then(|record| Some((record, record.phase()?)))
            {
                let may_be_lost = state.team.loss.as_ref().is_some_and(|loss| !loss.is_over(at));
                let may_be_sent = may_be_lost && record.claimed != step.makes.epoch;
                self.call(row.id).may_be_sent |= may_be_sent;
                if is_swept {
                    let deadline = state.due.get(&row.id).copied().unwrap_or(i64::MAX);
                    self.swept(row, (phase, may_be_sent), at - deadline);
                }
            }
            self.hold(record.is_some(), || format!("{} ends and was not open", row.id));
            self.ends(row);
        }
        for (name, record) in &changes.scopes {
            let counts = |row: &&Row| {
                row.outcome.counts()
                    && self.calls.get(&row.id).is_some_and(|call| call.scopes.contains(name))
            };
            let ended = changes.rows.iter().filter(counts).count() as u64;
            if record
                .as_ref()
                .is_none_or(|record| is_begun_anew((state.scopes.get(name), ended), record, at))
            {
                self.forgets(name);
            }
        }
        for (id, record) in changes.opened.iter().filter(|(_, record)| !record.unread) {
            self.opens(*id, record, step.makes);
        }
        self.passes_no_limit(changes);
        if changes.trimmed != [0, 0] {
            self.sees("rows were dropped");
        }
        if changes.opened.is_empty() && !self.was_set_back && self.is_exact(state) {
            self.takes_no_token(state, changes);
        }
    }

    fn forgets(&mut self, name: &ScopeName) {
        let held: u64 = self.of_scope(name).map(|(_, sum)| sum[1] + sum[3]).sum();
        let is_whole = self.losses.certainty == Certainty::Whole;
        self.hold(held == 0 || !is_whole, || format!("{name:?} is forgotten and holds a call"));
        self.forgotten.insert(name.clone());
        self.windows.retain(|(scope, _), _| scope != name);
        self.sees("a scope was forgotten");
    }

    fn opens(&mut self, id: ReservationId, record: &ReservationRecord, makes: Revision) {
        let call = self.call(id);
        let is_new = (call.price.is_none() || call.was_lost) && !call.answered_refused;
        call.windows = [record.windows.day.clone(), record.windows.month.clone()];
        (call.opened_at, call.was_lost) = (makes, false);
        if call.first_opened == Revision::default() {
            call.first_opened = makes;
        }
        call.price = Some(record.price);
        call.scopes.clone_from(&record.scopes);
        call.was_dispatched |= record.phase() == Some(Phase::Dispatched);
        self.hold(is_new, || format!("{id} is reserved again, or although it was refused"));
        let (window, day) = (&record.windows.day, self.scenario.day(self.at));
        self.hold(*window == day, || format!("{id} is admitted to {window} on {day}"));
        for scope in &record.scopes {
            for window in [&record.windows.day, &record.windows.month, ALL_TIME] {
                let sum = self.windows.entry((scope.clone(), window.to_owned())).or_default();
                (sum[1], sum[3]) = (sum[1] + 1, sum[3] + record.price);
            }
            self.takes_tokens(scope);
        }
    }

    /// Checks the sweep of a call, this long after its deadline. If its phase may have been lost
    /// and its process has not reported it since, it is unknown whether it was sent, so it must not
    /// be free.
    fn swept(&mut self, row: &Row, (phase, may_be_sent): (Phase, bool), late: i64) {
        let (outcome, what) = match phase {
            Phase::Dispatched => (Outcome::Unknown, "a dispatched call was swept"),
            Phase::Waiting | Phase::TurnedBack if may_be_sent => {
                (Outcome::Unknown, "a call that may have been sent was swept")
            }
            Phase::TurnedBack => (Outcome::Refused, "a call that was turned back was swept"),
            Phase::Waiting => (Outcome::Released, "a waiting call was swept"),
        };
        self.sees(what);
        self.hold(row.outcome == outcome, || {
            format!("{} is swept as {:?} and was {phase:?}", row.id, row.outcome)
        });
        self.hold(late >= 0, || format!("{} is swept {} µs before its deadline", row.id, -late));
    }

    fn ends(&mut self, row: &Row) {
        self.rows += 1;
        let call = self.call(row.id);
        let (price, scopes, before) =
            (call.price, call.scopes.clone(), call.row.replace(row.clone()));
        call.rows_before.extend(before.clone());
        let (is_first, fits) =
            (before.is_none(), price.is_some_and(|price| row.charged.micros() <= price));
        let may_be_second = self.losses.certainty > Certainty::Whole;
        self.hold(is_first || may_be_second, || format!("{} is settled twice", row.id));
        self.hold(fits, || format!("{} is charged {} of {price:?}", row.id, row.charged));
        for scope in scopes {
            for window in [&row.day, &row.month, ALL_TIME] {
                let Some(sum) = self.windows.get_mut(&(scope.clone(), window.to_owned())) else {
                    continue;
                };
                sum[0] += u64::from(row.outcome.counts());
                sum[1] = sum[1].saturating_sub(1);
                sum[2] += row.charged.micros();
                sum[3] = sum[3].saturating_sub(price.unwrap_or(0));
            }
        }
    }

    /// Checks a written step: the limits hold, and the windows count what the calls add up to.
    pub(super) fn after_writing(&mut self, state: &State, changes: &Changes) {
        if !self.is_exact(state) {
            return;
        }
        if self.losses.is_just_open() {
            self.look_at_all(state);
        }
        for name in changes.scopes.keys() {
            if let Some(record) = state.scopes.get(name) {
                self.look_at(name, record);
                let unread = state
                    .calls
                    .values()
                    .filter(|call| call.unread && call.scopes.contains(name))
                    .count();
                let is_right = usize::try_from(record.unread()) == Ok(unread);
                self.hold(is_right, || {
                    format!("{name:?} keeps slots of {} of {unread} answers", record.unread())
                });
            }
        }
    }

    /// Checks all windows of a scope.
    pub(super) fn look_at(&mut self, name: &ScopeName, record: &ScopeRecord) {
        let counted: Vec<(String, Sum)> =
            self.of_scope(name).map(|(window, sum)| (window.clone(), *sum)).collect();
        for (window, sum) in counted {
            let (period, windows) = window_of(&window);
            let kept: Sum = record.counts(period, &windows).into();
            self.hold(kept == sum, || {
                format!("{name:?} counts {kept:?} in {window}, and its calls say {sum:?}")
            });
            for limit in self.scenario.limits_of(name).to_vec() {
                let used = match limit.kind.shape() {
                    Shape::Window(of, Unit::Requests) if of == period => sum[0] + sum[1],
                    Shape::Window(of, Unit::Credits) if of == period => sum[2] + sum[3],
                    Shape::Slots if period == Period::Total => record.slots(),
                    Shape::Window(..) | Shape::Slots | Shape::Bucket(_) => continue,
                };
                let topped_up = if period == Period::Total { record.topped_up() } else { 0 };
                let most = with_top_ups(limit.max, topped_up);
                self.hold(used <= most, || {
                    format!("{name:?} has {used} of {most} in {window}: {}", limit.kind)
                });
            }
        }
    }

    pub(super) fn of_scope(
        &self,
        name: &ScopeName,
    ) -> impl Iterator<Item = (&String, &Sum)> + use<'_> {
        let (name, from) = (name.clone(), (name.clone(), String::new()));
        self.windows
            .range(from..)
            .take_while(move |((scope, _), _)| *scope == name)
            .map(|((_, window), sum)| (window, sum))
    }
}

/// Whether the scope expired and began again in this batch, in which `ended` calls ended. Otherwise
/// no sum may decrease.
fn is_begun_anew(
    (before, ended): (Option<&ScopeRecord>, u64),
    record: &ScopeRecord,
    at: i64,
) -> bool {
    let spent =
        |record: &ScopeRecord| Sum::from(record.counts(Period::Total, &window_of(ALL_TIME).1));
    let is_past = |before: &&ScopeRecord| before.until().is_some_and(|until| until <= at);
    before.filter(is_past).is_some_and(|before| spent(record)[0] < spent(before)[0] + ended)
}

/// The period of a window of this name, and the window as records name it.
pub(super) fn window_of(name: &str) -> (Period, Windows) {
    let period = match name.len() {
        10 => Period::Day,
        7 => Period::Month,
        _ => Period::Total,
    };
    (period, Windows { day: name.to_owned(), month: name.to_owned() })
}
