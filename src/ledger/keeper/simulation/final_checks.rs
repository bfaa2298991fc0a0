//! The checks at the end of a history, when all faults have ended and everything is swept: each
//! promise once more.

use std::collections::BTreeMap;

use super::checker::{CallModel, Checker};
use super::losses::Certainty;
use super::money;
use super::state::State;
use super::store::Store;
use super::world::World;
use crate::ledger::keeper::CellName;
use crate::ledger::machine::ScopeName;
use crate::ledger::{Outcome, ReservationId, Sums};

/// Checks.
pub(super) fn of(world: &mut World) -> Result<(), String> {
    let (now, ends) = (world.now, world.callers);
    let is_over = ends == 0;
    world.stores[0].checker.hold(is_over, || format!("at {now} {ends} callers have not ended"));
    if world.stores.iter().filter(|store| store.checker.rows > 0).count() > 1 {
        world.stores[0].checker.sees("two teams called");
    }
    world.stores.iter_mut().try_for_each(of_team)
}

fn of_team(store: &mut Store) -> Result<(), String> {
    let Store { state, checker, .. } = store;
    let state = &*state;
    let State { calls, due, scopes, .. } = state;
    let left: Vec<_> = calls.keys().chain(due.keys()).collect();
    checker
        .hold(left.is_empty(), || format!("{left:?} were left behind and nobody has ended them"));
    checker.hold(!state.team.is_closed(), || "the team is still closed".to_owned());
    let is_exact = checker.is_exact(state);
    for (id, known) in checker.calls.clone() {
        each_call(checker, id, &known);
    }
    for (name, record) in scopes {
        if is_exact {
            checker.look_at(name, record);
        }
        let held = record.slots();
        checker.hold(held == 0, || format!("{name:?} still holds {held} calls"));
    }
    let counted = checker.windows.iter().filter(|(_, sum)| is_exact && **sum != [0; 4]);
    let names: Vec<ScopeName> = counted.map(|((name, _), _)| name.clone()).collect();
    let missing: Vec<_> = names.iter().filter(|name| !scopes.contains_key(name)).collect();
    let days = checker
        .windows
        .keys()
        .filter(|(name, window)| name.level == "team" && window.len() == 10)
        .count();
    if days > 1 {
        checker.sees("a day ended");
    }
    checker.hold(missing.is_empty(), || format!("{missing:?} are not kept"));
    if is_exact {
        past(checker, state);
        topped_up(checker, state);
    }
    money::of(checker, state);
    checker.broken.take().map_or(Ok(()), Err)
}

fn each_call(checker: &mut Checker, id: ReservationId, known: &CallModel) {
    let CallModel {
        price,
        was_dispatched,
        answered_admitted,
        answered_refused,
        sent,
        executed,
        answered_charge,
        row,
        ..
    } = known;
    let (reserved, settled) = (price.is_some(), row.is_some());
    let is_late = checker.losses.certainty >= Certainty::Late;
    let is_undone = known.was_lost && (is_late || !answered_admitted);
    checker.hold(reserved == settled || is_undone, || {
        format!("{id} is reserved: {reserved}, and settled: {settled}")
    });
    checker.hold(reserved || !answered_admitted, || {
        format!("{id} was told it is admitted, and never was")
    });
    checker.hold(!(reserved && *answered_refused) || known.was_lost, || {
        format!("{id} was told it is refused, and was reserved")
    });
    let Some(row) = row else {
        checker.hold(*sent == 0 || is_late, || format!("{id} was sent and never reserved"));
        return;
    };
    let charged = row.charged.micros();
    let is_whole = checker.losses.certainty == Certainty::Whole;
    let (outcome, is_right) =
        (row.outcome, answered_charge.is_none_or(|charge| charge == charged) || !is_whole);
    checker.hold(is_right, || format!("{id} was told {answered_charge:?} and charged {charged}"));
    let is_free = *executed > 0 && charged == 0 && checker.losses.certainty < Certainty::Late;
    checker.hold(!is_free, || format!("{id} was carried out, and is free: {outcome:?}"));
    let may_be_unknown = *was_dispatched || known.may_be_sent;
    let was_wrong = *sent == 0
        && !is_late
        && outcome != Outcome::Released
        && !(outcome == Outcome::Unknown && may_be_unknown);
    checker.hold(!was_wrong, || format!("{id} was never sent, and is {outcome:?}"));
}

/// The rows, and the sums of the days.
fn past(checker: &mut Checker, state: &State) {
    let mut cells = BTreeMap::<CellName, Sums>::new();
    for row in checker.calls.values().filter_map(|known| known.row.as_ref()) {
        let (user, model) = (row.summary.user.clone(), row.summary.model.clone());
        *cells.entry(CellName { day: row.day.clone(), user, model }).or_default() +=
            Sums::from(row);
    }
    checker.hold(cells == state.cells, || {
        format!("the rows come to {cells:?}, and usage says {:?}", state.cells)
    });
    let mut days = BTreeMap::<String, u64>::new();
    cells.keys().for_each(|cell| *days.entry(cell.day.clone()).or_default() += 1);
    checker.hold(days == state.days, || {
        format!("the days have {days:?} cells, and the keeper says {:?}", state.days)
    });
    let lengths = state.rows.each_ref().map(|rows| rows.len() as u64);
    let team = &state.team;
    checker.hold(lengths == team.rows, || {
        format!("there are {lengths:?} rows, and the keeper says {team:?}")
    });
    let all: u64 = lengths.iter().chain(&team.lost).sum();
    let written = checker.rows as u64;
    checker.hold(all == written, || {
        format!("{written} rows were written, and {all} are kept or known as lost")
    });
}

/// Checks that each top-up is counted once.
fn topped_up(checker: &mut Checker, state: &State) {
    let mut sums = BTreeMap::<&ScopeName, u64>::new();
    state
        .top_ups
        .values()
        .for_each(|top_up| *sums.entry(&top_up.scope).or_default() += top_up.credits);
    for (name, sum) in sums {
        let kept = state.scopes.get(name).map_or(0, |record| record.topped_up());
        checker.hold(kept == sum, || {
            format!("{name:?} was topped up by {sum}, and the keeper says {kept}")
        });
    }
}
