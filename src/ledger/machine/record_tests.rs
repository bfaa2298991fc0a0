//! How records are written, and which windows a scope keeps.
#![allow(clippy::unwrap_used)]
use super::*;

fn on(day: &str) -> Windows {
    Windows { day: day.to_owned(), month: "2026-11".to_owned() }
}

fn call() -> ReservationRecord {
    ReservationRecord {
        dispatched: false,
        turned_back: false,
        unread: false,
        marks: 0,
        claimed: 0,
        sent_in: 0,
        ending: None,
        price: 5,
        windows: on("2026-11-29"),
        admitted_at: 1,
        deadline: 2,
        scopes: Vec::new(),
        summary: CallSummary::default().into(),
    }
}

#[test]
fn a_scope_is_written_sparsely_and_reads_back() {
    let written = |record: &ScopeRecord| serde_json::to_string(record).unwrap();
    assert_eq!(written(&ScopeRecord::default()), r#"{"total":[0,0,0,0],"days":{},"months":{}}"#);
    let mut record =
        ScopeRecord { unread: 1, topped_up: 7, until: Some(3), ..ScopeRecord::default() };
    record.reserve(&on("2026-11-29"), 5);
    record.mark_crossed(Period::Day, "2026-11-29".to_owned());
    assert_eq!(serde_json::from_str::<ScopeRecord>(&written(&record)).unwrap(), record);
}

#[test]
fn a_reservation_is_written_sparsely_and_reads_back() {
    let written = serde_json::to_value(call()).unwrap();
    let skipped = ["turned_back", "unread", "marks", "claimed", "ending"];
    assert!(skipped.iter().all(|name| written.get(name).is_none()), "{written}");
    let marked = ReservationRecord {
        claimed: 7,
        ending: Some(Ending::from(5, 6)),
        ..call().marked(Phase::TurnedBack)
    };
    let text = serde_json::to_string(&marked).unwrap();
    assert_eq!(serde_json::from_str::<ReservationRecord>(&text).unwrap(), marked);
}

#[test]
fn a_mark_is_counted_and_carries_the_calls_phase() {
    let mut record = call();
    for (count, phase) in [
        (1, Phase::Dispatched),
        (2, Phase::TurnedBack),
        (3, Phase::Waiting),
        (4, Phase::Dispatched),
    ] {
        record = record.marked(phase);
        assert_eq!((record.marks, record.phase()), (count, Some(phase)));
    }
    let left = record.keeping_slots(9);
    assert_eq!(
        (left.phase(), left.deadline),
        (None, 9),
        "it has ended, and lives for as long as its answer is read"
    );
}

#[test]
fn a_call_knows_where_it_was_last_marked_as_sent() {
    let claimed = call().claimed_in(7);
    assert_eq!((claimed.claimed, claimed.marks, claimed.marked_as_sent_in()), (7, 64, 0));
    let sent = claimed.marked(Phase::Dispatched);
    assert_eq!((sent.marks, sent.marked_as_sent_in()), (65, 7));
    let again = sent.clone().claimed_in(8);
    assert_eq!((again.claimed, again.marks, again.phase()), (8, 128, Some(Phase::Dispatched)));
    assert_eq!(again.marked_as_sent_in(), 7, "not marked since");
    assert_eq!(again.marked(Phase::Dispatched).claimed_in(9).marked_as_sent_in(), 8);
    let back = sent.marked(Phase::TurnedBack).claimed_in(8);
    assert_eq!(back.marked_as_sent_in(), 0, "it was turned back");
    assert_eq!(ReservationRecord { marks: u32::MAX, ..call() }.claimed_in(9).marks, 0);
}

#[test]
fn a_scope_keeps_its_newest_three_days() {
    let mut record = ScopeRecord::default();
    for day in ["2026-11-27", "2026-11-28", "2026-11-29", "2026-11-30", "2026-11-30"] {
        record.reserve(&on(day), 5);
    }
    assert_eq!(
        record.days.keys().map(|day| &**day).collect::<Vec<_>>(),
        ["2026-11-28", "2026-11-29", "2026-11-30"]
    );
}

#[test]
fn a_budget_is_marked_once_for_each_mark() {
    let mut record = ScopeRecord::default();
    let mut marks = |mark: &str| record.mark_crossed(Period::Day, mark.to_owned());
    assert_eq!(["one", "one", "two"].map(&mut marks), [true, false, true]);
}
