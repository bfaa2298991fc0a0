//! No import cycle: neither among rooms nor among files.

use super::graph::Graph;
use super::{assert_none, product, root, rust};

/// The crates of the repository, by where their files are.
const CRATES: [&str; 5] = [
    "src/",
    "tests/it/",
    "benches/instructions/",
    "benches/ledger_store/",
    "benches/whole_process/",
];

#[test]
fn rooms_have_no_way_back_to_themselves() {
    let graph = Graph::of_rooms(&product());
    assert_none(
        graph.knots().iter().map(|knot| format!("{knot:?}\n  {}", graph.cycle(knot))).collect(),
    );
    eprintln!("the rooms, each after those it knows: {}", graph.in_order().join(" "));
}

#[test]
fn files_have_no_way_back_to_themselves() {
    let sources = rust();
    let mut wrong = Vec::new();
    for root in CRATES {
        let graph = Graph::of_files(&sources, root);
        wrong.extend(graph.knots().iter().map(|knot| format!("{knot:?}\n  {}", graph.cycle(knot))));
    }
    assert_none(wrong);
}

#[test]
fn the_map_lists_every_room_after_those_it_knows() {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let list = map
        .split("# Dependencies between rooms")
        .nth(1)
        .and_then(|rest| rest.split("\n//! # ").next())
        .unwrap();
    let order: Vec<&str> =
        list.split("[`").skip(1).filter_map(|rest| rest.split('`').next()).collect();
    let graph = Graph::of_rooms(&product());
    let listed = |room: &&str| order.iter().filter(|listed| *listed == room).count();
    let rooms = graph.in_order();
    let missing = rooms
        .iter()
        .filter(|room| listed(room) != 1)
        .map(|room| format!("{room} is listed {} times", listed(room)));
    assert_none(missing.chain(graph.against(&order)).collect());
}
