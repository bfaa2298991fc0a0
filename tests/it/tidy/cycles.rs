//! No way leads back to where it began: neither from room to room, nor from file to file.

use std::collections::BTreeSet;

use super::graph::Graph;
use super::{assert_none, product, root, rust};

/// The crates of the repository, by where their files are.
const CRATES: [&str; 5] =
    ["src/", "tests/it/", "benches/instructions/", "benches/ledger_store/", "benches/whole_process/"];

/// Files that still know each other around, and why they may for now. The list only ever gets shorter.
const STILL_KNOTTED: [(&[&str], &str); 6] = [
    (
        &[
            "src/ledger/keeper/cache.rs",
            "src/ledger/keeper/lives.rs",
            "src/ledger/keeper/memory.rs",
            "src/ledger/keeper/operation.rs",
            "src/ledger/keeper/step.rs",
            "src/ledger/keeper/view.rs",
            "src/ledger/keeper/wanted.rs",
            "src/ledger/keeper/work.rs",
        ],
        "an operation, and the view of the records that it works on",
    ),
    (
        &["src/ledger/keeper/restore.rs", "src/ledger/keeper/takeover.rs"],
        "restoring may end in taking over, which goes by the bounds of restoring",
    ),
    (
        &[
            "src/ledger/keeper/simulation/background.rs",
            "src/ledger/keeper/simulation/bounds.rs",
            "src/ledger/keeper/simulation/caller.rs",
            "src/ledger/keeper/simulation/history.rs",
            "src/ledger/keeper/simulation/process.rs",
            "src/ledger/keeper/simulation/reckoning.rs",
            "src/ledger/keeper/simulation/wire.rs",
            "src/ledger/keeper/simulation/world.rs",
        ],
        "a simulated world, and the processes in it, which reach it",
    ),
    (
        &[
            "src/ledger/keeper/simulation/copies.rs",
            "src/ledger/keeper/simulation/losses.rs",
            "src/ledger/keeper/simulation/promises.rs",
            "src/ledger/keeper/simulation/store.rs",
        ],
        "a simulated store, and what may be lost in it",
    ),
    (
        &[
            "src/ledger/machine/bucket.rs",
            "src/ledger/machine/record.rs",
            "src/ledger/machine/shares.rs",
            "src/ledger/machine/written.rs",
        ],
        "records, and how each of their parts is written",
    ),
    (&["src/ledger/machine/past.rs", "src/ledger/machine/records.rs"], "records, and how they are forgotten"),
];

#[test]
fn rooms_have_no_way_back_to_themselves() {
    let graph = Graph::of_rooms(&product());
    assert_none(graph.knots().iter().map(|knot| format!("{knot:?}\n  {}", graph.cycle(knot))).collect());
    eprintln!("the rooms, each after those it knows: {}", graph.in_order().join(" "));
}

#[test]
fn files_have_no_way_back_to_themselves() {
    let sources = rust();
    let (mut wrong, mut still) = (Vec::new(), BTreeSet::new());
    for root in CRATES {
        let graph = Graph::of_files(&sources, root);
        for knot in graph.knots() {
            if STILL_KNOTTED.iter().any(|(files, _)| knot.iter().all(|file| files.contains(file))) {
                still.extend(knot.into_iter().map(str::to_owned));
            } else {
                wrong.push(format!("{knot:?}\n  {}", graph.cycle(&knot)));
            }
        }
    }
    let listed = STILL_KNOTTED.iter().flat_map(|(files, _)| *files);
    let untied = listed.filter(|file| !still.contains(**file));
    assert_none(
        untied.map(|file| format!("{file} is in no knot any more: take it off the list")).chain(wrong).collect(),
    );
}

#[test]
fn the_map_lists_every_room_after_those_it_knows() {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let list = map.split("# What stands on what").nth(1).and_then(|rest| rest.split("\n//! # ").next()).unwrap();
    let order: Vec<&str> = list.split("[`").skip(1).filter_map(|rest| rest.split('`').next()).collect();
    let graph = Graph::of_rooms(&product());
    let listed = |room: &&str| order.iter().filter(|listed| *listed == room).count();
    let rooms = graph.in_order();
    let missing =
        rooms.iter().filter(|room| listed(room) != 1).map(|room| format!("{room} is listed {} times", listed(room)));
    assert_none(missing.chain(graph.against(&order)).collect());
}
