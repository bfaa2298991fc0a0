//! Merging the names of wanted records.

use super::*;
use crate::ledger::machine::memory_records::{Ledger, charged, team, user};
use crate::ledger::{Phase, Scope};

fn both() -> BTreeSet<ScopeName> {
    [Scope::Team, user("ana")].iter().map(ScopeName::from).collect()
}

fn cell() -> CellName {
    CellName { day: "2027-01-15".to_owned(), user: "ana".to_owned(), model: "m".to_owned() }
}

#[test]
fn merged_wants_hold_everything_either_wants() {
    let all = Wanted {
        due: true,
        past: true,
        oldest: true,
        all: true,
        scopes: both(),
        ..Wanted::default()
    };
    for (one, other) in [
        (all.clone(), all.clone()),
        (all.clone(), Wanted::default()),
        (Wanted::default(), all.clone()),
    ] {
        let mut wanted = one;
        wanted.add(other);
        assert_eq!(wanted, all);
    }
    let mut nothing = Wanted::default();
    nothing.add(Wanted::default());
    assert_eq!(nothing, Wanted::default());
}

#[test]
fn a_row_needs_its_usage_cell_and_the_oldest_rows() {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    ledger.machine().settle(&team(), &charged(id, 7)).unwrap();
    let mut wanted = Wanted::default();
    wanted.cells_of(ledger.kept.rows.iter());
    let (cells, days) = ([cell()].into(), [cell().day].into());
    assert_eq!(wanted, Wanted { cells, days, oldest: true, ..Wanted::default() });
}
