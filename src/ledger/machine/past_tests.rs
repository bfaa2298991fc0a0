//! What is kept of calls that have ended, and what goes.
use super::*;
use crate::ledger::machine::judgement::at;
use crate::ledger::machine::memory_records::{MemoryRecords, NOW, SECOND, team};
use crate::ledger::{CallResult, CallSummary, Outcome, ReservationId};

const DAY: i64 = 86_400 * SECOND;
const TODAY: &str = "2027-01-15";

fn row(user: &str, settled_at: i64) -> Row {
    Row {
        id: ReservationId::new(),
        outcome: Outcome::Charged,
        reserved: Credits::from_micros(7),
        charged: Credits::from_micros(7),
        day: TODAY.to_owned(),
        month: "2027-01".to_owned(),
        admitted_at: at(NOW),
        settled_at: at(settled_at),
        summary: CallSummary {
            user: user.to_owned(),
            model: "m".to_owned(),
            ..CallSummary::default()
        }
        .into(),
        result: CallResult::default(),
    }
}

fn noted(kept: &mut MemoryRecords, user: &str) {
    note(&mut &mut *kept, &team(), row(user, NOW), &Retention::default(), at(NOW)).unwrap();
}

/// How many calls are counted there.
fn calls(kept: &MemoryRecords, user: &str, model: &str) -> u64 {
    kept.cells.get(&[TODAY, user, model].map(str::to_owned)).map_or(0, Sums::calls)
}

#[test]
fn once_a_day_is_full_newcomers_are_counted_together() {
    let mut kept = MemoryRecords::default();
    for number in 1..CELLS_MAX {
        kept.cells.insert([TODAY.to_owned(), number.to_string(), "m".to_owned()], Sums::default());
    }
    noted(&mut kept, "ana");
    assert_eq!((calls(&kept, "ana", "m"), kept.cells.len()), (1, 5_000));
    for user in ["ben", "ana", "cid"] {
        noted(&mut kept, user);
    }
    assert_eq!(
        (calls(&kept, "ana", "m"), calls(&kept, OVERFLOW, OVERFLOW), kept.cells.len()),
        (2, 2, 5_001)
    );
    assert_eq!(kept.rows.len(), 4, "each call has its row all the same");
}

#[test]
fn trimming_says_whether_a_row_or_a_sum_went() {
    let month = std::time::Duration::from_secs(30 * 86_400);
    let retention = Retention { rows: month, usage: month, ..Retention::default() };
    for (rows, cells) in [(0, 0), (1, 0), (0, 1), (1, 1), (2, 2)] {
        let mut kept = MemoryRecords::default();
        kept.rows.extend((0..rows).map(|_| row("ana", NOW - 31 * DAY)));
        kept.rows.push(row("ana", NOW - 29 * DAY));
        for cell in 0..=cells {
            let day = if cell == 0 { TODAY } else { "2026-12-15" };
            kept.cells.insert([day.to_owned(), cell.to_string(), "m".to_owned()], Sums::default());
        }
        let went = trim(&mut &mut kept, &team(), &retention, at(NOW), 9).unwrap();
        assert_eq!((went, kept.rows.len(), kept.cells.len()), (rows + cells > 0, 1, 1));
    }
}

#[test]
fn what_calls_of_one_model_were_charged_is_told_together() {
    let mut ended = Ended::of(&team());
    for (model, credits) in [("m", 3), ("n", 1), ("m", 4)] {
        ended.charge(model.to_owned(), Credits::from_micros(credits));
    }
    let charges: Vec<_> =
        ended.charges.iter().map(|charge| (&*charge.model, charge.credits.micros())).collect();
    assert_eq!(charges, [("m", 7), ("n", 1)]);
}
