//! Compares what was really paid, by the callers' answers and by the upstream, with the stored
//! counts after a loss.

use std::collections::{BTreeMap, BTreeSet};

use super::checker::{ALL_TIME, CallModel, Checker, window_of};
use super::losses::Certainty;
use super::state::State;
use crate::ledger::keeper::{CellName, TeamRecord};
use crate::ledger::machine::ScopeName;
use crate::ledger::topup::with_top_ups;
use crate::ledger::{Scope, Sums};
use crate::team::limit::{Period, Shape, Unit};

/// Requests and credits.
type Paid = BTreeMap<(ScopeName, String), (u64, u64)>;

/// Compares.
pub(super) fn of(checker: &mut Checker, state: &State) {
    rows(checker, state);
    let paid = paid(checker);
    for ((name, window), (requests, credits)) in paid {
        if checker.forgotten.contains(&name) {
            continue;
        }
        let record = state.scopes.get(&name).cloned().unwrap_or_default();
        let (period, windows) = window_of(&window);
        let [kept_requests, _, kept_credits, _]: [u64; 4] = record.counts(period, &windows).into();
        let (given_requests, given_credits) = checker.losses.given_away();
        let is_all =
            kept_requests + given_requests >= requests && kept_credits + given_credits >= credits;
        checker.hold(is_all, || {
            format!(
                "{name:?} counts {kept_requests} calls and {kept_credits} credits in {window}; \
                 really paid were {requests} and {credits}"
            )
        });
        let topped_up = if period == Period::Total { record.topped_up() } else { 0 };
        for limit in checker.scenario.limits_of(&name) {
            let used = match limit.kind.shape() {
                Shape::Window(of, Unit::Requests) if of == period => requests,
                Shape::Window(of, Unit::Credits) if of == period => credits,
                Shape::Window(..) | Shape::Slots | Shape::Bucket(_) => continue,
            };
            let is_held = used <= with_top_ups(limit.max, topped_up)
                || checker.losses.certainty >= Certainty::Late;
            checker.hold(is_held, || format!("{used} were really paid of {limit:?} in {window}"));
        }
    }
}

/// The least that a call was really charged.
fn charged(call: &CallModel) -> (u64, u64) {
    match (call.answered_charge, call.executed) {
        (Some(0), _) | (None, 0) => (0, 0),
        (Some(charged), _) => (1, charged),
        // The charge is unknown.
        (None, _) => (1, 1),
    }
}

fn paid(checker: &Checker) -> Paid {
    let mut paid = Paid::new();
    for call in checker.calls.values().filter(|call| !call.is_unseen) {
        let (requests, credits) = charged(call);
        let [day, month] = &call.windows;
        for scope in
            call.scopes.iter().filter(|scope| scope.level == "team" || !call.is_seen_in_team_only)
        {
            for window in [day.as_str(), month.as_str(), ALL_TIME] {
                let sum = paid.entry((scope.clone(), window.to_owned())).or_default();
                *sum = (sum.0 + requests, sum.1 + credits);
            }
        }
    }
    paid
}

/// Checks that each call has at most one row, and that each row is counted.
fn rows(checker: &mut Checker, state: &State) {
    let mut seen = BTreeSet::new();
    let twice: Vec<_> = state.rows.iter().flatten().filter(|row| !seen.insert(row.id)).collect();
    checker.hold(twice.is_empty(), || format!("{twice:?} are there twice"));
    let lengths = state.rows.each_ref().map(|rows| rows.len() as u64);
    let TeamRecord { rows, .. } = &state.team;
    checker.hold(lengths == *rows, || {
        format!("there are {lengths:?} rows, and the keeper says {rows:?}")
    });
    if state.team.lost == [0, 0] {
        sums(checker, state);
    }
}

/// Checks that the rows add up to the usage, and to no more than the windows count as spent. It may
/// be less after a loss, if the writer of a row crashed: others have seen the cost, but the row is
/// gone.
fn sums(checker: &mut Checker, state: &State) {
    let (mut cells, mut days) =
        (BTreeMap::<CellName, Sums>::new(), BTreeMap::<&String, (u64, u64)>::new());
    for row in state.rows.iter().flatten() {
        let (user, model) = (row.summary.user.clone(), row.summary.model.clone());
        *cells.entry(CellName { day: row.day.clone(), user, model }).or_default() +=
            Sums::from(row);
        let (requests, credits) = days.entry(&row.day).or_default();
        (*requests, *credits) =
            (*requests + u64::from(row.outcome.counts()), *credits + row.charged.micros());
    }
    checker.hold(cells == state.cells, || {
        format!("the rows come to {cells:?}, and usage says {:?}", state.cells)
    });
    let Some(team) = state.scopes.get(&ScopeName::from(&Scope::Team)) else { return };
    for (day, (requests, credits)) in days {
        let (period, windows) = window_of(day);
        let [spent_requests, _, spent_credits, _]: [u64; 4] = team.counts(period, &windows).into();
        let is_counted = requests <= spent_requests && credits <= spent_credits;
        checker.hold(is_counted, || {
            format!(
                "on {day} rows say {requests} calls and {credits} credits, counted are \
                 {spent_requests} and {spent_credits}"
            )
        });
    }
}
