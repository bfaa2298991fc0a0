//! The reckoning at the end of a history, when everything has healed and been swept: the promises,
//! each counted once more.

use std::collections::BTreeMap;

use super::losses::Certainty;
use super::money;
use super::promises::{Known, Promises};
use super::state::State;
use super::store::Store;
use super::world::World;
use crate::ledger::keeper::CellName;
use crate::ledger::machine::ScopeName;
use crate::ledger::{Outcome, ReservationId, Sums};

/// Reckons.
pub(super) fn of(world: &mut World) -> Result<(), String> {
    let (now, ends) = (world.now, world.callers);
    let is_over = ends == 0;
    world.stores[0]
        .promises
        .hold(is_over, || format!("at {now} {ends} callers have not come to their end"));
    if world.stores.iter().filter(|store| store.promises.rows > 0).count() > 1 {
        world.stores[0].promises.sees("two teams called");
    }
    world.stores.iter_mut().try_for_each(of_team)
}

fn of_team(store: &mut Store) -> Result<(), String> {
    let Store { state, promises, .. } = store;
    let state = &*state;
    let State { calls, due, scopes, .. } = state;
    let left: Vec<_> = calls.keys().chain(due.keys()).collect();
    promises
        .hold(left.is_empty(), || format!("{left:?} were left behind and nobody has ended them"));
    promises.hold(!state.team.is_closed(), || "the team is still closed".to_owned());
    let is_exact = promises.is_exact(state);
    for (id, known) in promises.calls.clone() {
        each_call(promises, id, &known);
    }
    for (name, record) in scopes {
        if is_exact {
            promises.look_at(name, record);
        }
        let held = record.slots();
        promises.hold(held == 0, || format!("{name:?} still holds {held} calls"));
    }
    let counted = promises.windows.iter().filter(|(_, sum)| is_exact && **sum != [0; 4]);
    let names: Vec<ScopeName> = counted.map(|((name, _), _)| name.clone()).collect();
    let missing: Vec<_> = names.iter().filter(|name| !scopes.contains_key(name)).collect();
    let days = promises
        .windows
        .keys()
        .filter(|(name, window)| name.level == "team" && window.len() == 10)
        .count();
    if days > 1 {
        promises.sees("a day ended");
    }
    promises.hold(missing.is_empty(), || format!("{missing:?} are not kept"));
    if is_exact {
        past(promises, state);
        topped_up(promises, state);
    }
    money::of(promises, state);
    promises.broken.take().map_or(Ok(()), Err)
}

fn each_call(promises: &mut Promises, id: ReservationId, known: &Known) {
    let Known {
        price,
        was_dispatched,
        told_admitted,
        told_refused,
        sent,
        executed,
        told_charged,
        row,
        ..
    } = known;
    let (reserved, settled) = (price.is_some(), row.is_some());
    let is_late = promises.losses.certainty >= Certainty::Late;
    let is_undone = known.was_lost && (is_late || !told_admitted);
    promises.hold(reserved == settled || is_undone, || {
        format!("{id} is reserved: {reserved}, and settled: {settled}")
    });
    promises.hold(reserved || !told_admitted, || {
        format!("{id} was told it is admitted, and never was")
    });
    promises.hold(!(reserved && *told_refused) || known.was_lost, || {
        format!("{id} was told it is refused, and was reserved")
    });
    let Some(row) = row else {
        promises.hold(*sent == 0 || is_late, || format!("{id} was sent and never reserved"));
        return;
    };
    let charged = row.charged.micros();
    let is_whole = promises.losses.certainty == Certainty::Whole;
    let (outcome, is_right) =
        (row.outcome, told_charged.is_none_or(|charge| charge == charged) || !is_whole);
    promises.hold(is_right, || format!("{id} was told {told_charged:?} and charged {charged}"));
    let is_free = *executed > 0 && charged == 0 && promises.losses.certainty < Certainty::Late;
    promises.hold(!is_free, || format!("{id} was carried out, and is free: {outcome:?}"));
    let may_be_unknown = *was_dispatched || known.may_be_sent;
    let was_wrong = *sent == 0
        && !is_late
        && outcome != Outcome::Released
        && !(outcome == Outcome::Unknown && may_be_unknown);
    promises.hold(!was_wrong, || format!("{id} was never sent, and is {outcome:?}"));
}

/// The rows, and the sums of the days.
fn past(promises: &mut Promises, state: &State) {
    let mut cells = BTreeMap::<CellName, Sums>::new();
    for row in promises.calls.values().filter_map(|known| known.row.as_ref()) {
        let (user, model) = (row.summary.user.clone(), row.summary.model.clone());
        *cells.entry(CellName { day: row.day.clone(), user, model }).or_default() +=
            Sums::from(row);
    }
    promises.hold(cells == state.cells, || {
        format!("the rows come to {cells:?}, and usage says {:?}", state.cells)
    });
    let mut days = BTreeMap::<String, u64>::new();
    cells.keys().for_each(|cell| *days.entry(cell.day.clone()).or_default() += 1);
    promises.hold(days == state.days, || {
        format!("the days have {days:?} cells, and the keeper says {:?}", state.days)
    });
    let lengths = state.rows.each_ref().map(|rows| rows.len() as u64);
    let team = &state.team;
    promises.hold(lengths == team.rows, || {
        format!("there are {lengths:?} rows, and the keeper says {team:?}")
    });
    let all: u64 = lengths.iter().chain(&team.lost).sum();
    let written = promises.rows as u64;
    promises.hold(all == written, || {
        format!("{written} rows were written, and {all} are kept or known as lost")
    });
}

/// What was topped up is the sum of all top-ups, each once.
fn topped_up(promises: &mut Promises, state: &State) {
    let mut sums = BTreeMap::<&ScopeName, u64>::new();
    state
        .top_ups
        .values()
        .for_each(|top_up| *sums.entry(&top_up.scope).or_default() += top_up.credits);
    for (name, sum) in sums {
        let kept = state.scopes.get(name).map_or(0, |record| record.topped_up());
        promises.hold(kept == sum, || {
            format!("{name:?} was topped up by {sum}, and the keeper says {kept}")
        });
    }
}
