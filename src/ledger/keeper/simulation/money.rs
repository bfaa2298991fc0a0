//! What was really paid, as callers were told it or the upstream knows it, against what is kept
//! after a loss.

use std::collections::{BTreeMap, BTreeSet};

use super::losses::Certainty;
use super::promises::{ALL_TIME, Known, Promises, window_of};
use super::state::State;
use crate::ledger::keeper::{CellName, TeamRecord};
use crate::ledger::machine::ScopeName;
use crate::ledger::topup::with_top_ups;
use crate::ledger::{Scope, Sums};
use crate::team::limit::{Period, Shape, Unit};

/// Requests and credits.
type Paid = BTreeMap<(ScopeName, String), (u64, u64)>;

/// Reckons.
pub(super) fn of(promises: &mut Promises, state: &State) {
    rows(promises, state);
    let paid = paid(promises);
    for ((name, window), (requests, credits)) in paid {
        if promises.forgotten.contains(&name) {
            continue;
        }
        let record = state.scopes.get(&name).cloned().unwrap_or_default();
        let (period, windows) = window_of(&window);
        let [kept_requests, _, kept_credits, _]: [u64; 4] = record.counts(period, &windows).into();
        let (given_requests, given_credits) = promises.losses.given_away();
        let is_all =
            kept_requests + given_requests >= requests && kept_credits + given_credits >= credits;
        promises.hold(is_all, || {
            format!(
                "{name:?} counts {kept_requests} calls and {kept_credits} credits in {window}; really paid were \
                 {requests} and {credits}"
            )
        });
        let topped_up = if period == Period::Total { record.topped_up() } else { 0 };
        for limit in promises.terms.limits_of(&name) {
            let used = match limit.kind.shape() {
                Shape::Window(of, Unit::Requests) if of == period => requests,
                Shape::Window(of, Unit::Credits) if of == period => credits,
                Shape::Window(..) | Shape::Slots | Shape::Bucket(_) => continue,
            };
            let is_held = used <= with_top_ups(limit.max, topped_up)
                || promises.losses.certainty >= Certainty::Late;
            promises.hold(is_held, || format!("{used} were really paid of {limit:?} in {window}"));
        }
    }
}

/// What a call was really charged, at least.
fn charged(call: &Known) -> (u64, u64) {
    match (call.told_charged, call.executed) {
        (Some(0), _) | (None, 0) => (0, 0),
        (Some(charged), _) => (1, charged),
        // Nobody was told how much.
        (None, _) => (1, 1),
    }
}

fn paid(promises: &Promises) -> Paid {
    let mut paid = Paid::new();
    for call in promises.calls.values().filter(|call| !call.is_unseen) {
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

/// Each call has at most one row, and each row is counted.
fn rows(promises: &mut Promises, state: &State) {
    let mut seen = BTreeSet::new();
    let twice: Vec<_> = state.rows.iter().flatten().filter(|row| !seen.insert(row.id)).collect();
    promises.hold(twice.is_empty(), || format!("{twice:?} are there twice"));
    let lengths = state.rows.each_ref().map(|rows| rows.len() as u64);
    let TeamRecord { rows, .. } = &state.team;
    promises.hold(lengths == *rows, || {
        format!("there are {lengths:?} rows, and the keeper says {rows:?}")
    });
    if state.team.lost == [0, 0] {
        sums(promises, state);
    }
}

/// What rows come to is what usage says, and never more than the windows count as spent. It may be
/// less after a loss, where who wrote a row has died: what it cost others have seen, and the row is
/// gone.
fn sums(promises: &mut Promises, state: &State) {
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
    promises.hold(cells == state.cells, || {
        format!("the rows come to {cells:?}, and usage says {:?}", state.cells)
    });
    let Some(team) = state.scopes.get(&ScopeName::from(&Scope::Team)) else { return };
    for (day, (requests, credits)) in days {
        let (period, windows) = window_of(day);
        let [spent_requests, _, spent_credits, _]: [u64; 4] = team.counts(period, &windows).into();
        let is_counted = requests <= spent_requests && credits <= spent_credits;
        promises.hold(is_counted, || {
            format!("on {day} rows say {requests} calls and {credits} credits, counted are {spent_requests} and {spent_credits}")
        });
    }
}
