//! Reads and changes of a batch on a team's cached records.
use super::*;
use crate::ledger::keeper::step::{Due, Found};
use crate::ledger::machine::memory_records::{Ledger, NOW, SECOND, TTL, team, user};
use crate::ledger::machine::{Loss, Revision, ScopeName};
use crate::ledger::{CallResult, CallSummary, Outcome, Phase};

const DAY: i64 = 86_400 * SECOND;

fn known(found: Found) -> TeamCache {
    let mut cache = TeamCache::default();
    let revision = Some(Revision::new(5, 50, 0));
    cache.learn(Found { revision, ..found }, 0, (NOW, NOW + TTL));
    cache
}

/// The changes of a batch on these cached records.
fn with<T>(cache: &TeamCache, rules: &Rules, batch: impl FnOnce(&mut View<'_>) -> T) -> T {
    batch(&mut View::new(cache, &BTreeSet::new(), rules, NOW))
}

fn rules() -> Rules {
    Ledger::new().rules
}

fn ana() -> ScopeName {
    ScopeName::from(&user("ana"))
}

/// A call as it was admitted at a moment.
fn call(admitted_at: i64) -> (ReservationId, ReservationRecord) {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let record = ledger.kept.calls.remove(&id).unwrap();
    (id, ReservationRecord { admitted_at, ..record })
}

fn row(micros: u64) -> Row {
    let (id, record) = call(NOW);
    let charged = crate::credits::Credits::from_micros(micros);
    let (day, month) = (record.windows.day, record.windows.month);
    let (admitted_at, settled_at) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    let (summary, result) = (CallSummary::default().into(), CallResult::default());
    Row {
        id,
        outcome: Outcome::Charged,
        reserved: charged,
        charged,
        day,
        month,
        admitted_at,
        settled_at,
        summary,
        result,
    }
}

fn after_a_loss(noticed_at: i64) -> TeamRecord {
    let loss = Loss { noticed_at, kept: [(4, 40)].into(), ..Loss::default() };
    TeamRecord { loss: Some(loss), ..TeamRecord::default() }
}

#[test]
fn counts_from_before_a_loss_stay_apart_for_a_day() {
    let sealed = |noticed_at| {
        let scopes = vec![(ana(), ScopeRecord::default())];
        let cache = known(Found { team: after_a_loss(noticed_at), scopes, ..Found::default() });
        let mut record = ScopeRecord::default();
        record.seal(&[(3, 30)].into(), &[].into());
        with(&cache, &rules(), |view| {
            view.put_scope(&team(), &ana(), record).unwrap();
            view.changes.scopes.get(&ana()).unwrap().as_ref().unwrap().sealed()
        })
    };
    assert_eq!(sealed(NOW - DAY), [(3, 30), (4, 40)].into());
    assert_eq!(sealed(NOW - DAY - 1), [].into());
}

/// The clock may have been set back since it was admitted, so that does not show whether it was
/// before the loss.
#[test]
fn a_call_ended_after_a_loss_is_recorded() {
    let noted = |noticed_at: Option<i64>| {
        let (id, record) = call(NOW);
        let team = noticed_at.map(after_a_loss).unwrap_or_default();
        let cache = known(Found { team, calls: vec![(id, Some(record))], ..Found::default() });
        with(&cache, &rules(), |view| {
            view.take_reservation(&self::team(), id).unwrap();
            assert_eq!(view.changes.ended, [id]);
            view.changes.restored == [id]
        })
    };
    assert!(noted(Some(NOW - SECOND)));
    assert!(!noted(Some(NOW - DAY - 1)), "nobody comes with a row any more");
    assert!(!noted(None));
}

#[test]
fn the_past_is_forgotten_except_users_pending_a_sweep() {
    let [(gone, _), (open, record), (restored, _)] = [(); 3].map(|()| call(NOW));
    let others = vec![Past::Restored(restored), Past::Day("2026-11-01".to_owned())];
    let due = Due { overdue: vec![(gone, NOW - 1), (open, NOW - 1)], ..Due::default() };
    let cache = known(Found {
        calls: vec![(gone, None), (open, Some(record))],
        due: Some(due),
        past: Some([&[Past::Scope(ana())][..], &others].concat()),
        ..Found::default()
    });
    with(&cache, &rules(), |view| {
        view.forget_past();
        assert_eq!((&view.changes.forgotten, &view.changes.ended), (&others, &vec![gone]));
        assert_eq!(view.past_scopes(&team(), NOW, 9).unwrap(), [ana()]);
    });
}

#[test]
fn a_users_expiry_is_written_only_when_it_changes() {
    let at = |until| {
        let mut record = ScopeRecord::default();
        record.set_until(until);
        record
    };
    let cache = known(Found { scopes: vec![(ana(), at(Some(3)))], ..Found::default() });
    with(&cache, &rules(), |view| {
        for (until, written) in
            [(Some(3), None), (Some(4), Some(Some(4))), (Some(3), None), (None, Some(None))]
        {
            view.put_scope(&team(), &ana(), at(until)).unwrap();
            assert_eq!(view.changes.ends.get(&ana()).copied(), written);
        }
        view.drop_scope(&team(), &ana()).unwrap();
        assert_eq!(view.changes.ends.get(&ana()), Some(&None));
        assert_eq!(view.changes.scopes.get(&ana()), Some(&None));
        assert_eq!(view.scope(&team(), &ana()).unwrap(), ScopeRecord::default());
    });
}

#[test]
fn what_is_not_known_is_asked_for_by_name() {
    let (cache, (id, _)) = (known(Found::default()), call(NOW));
    let top_up = TopUpId::new();
    let cell = Cell { day: "2026-11-01", user: "ana", model: "m" };
    let wants = |missing: Missing| *missing.0;
    with(&cache, &rules(), |view| {
        let nothing = Wanted::default;
        let scopes = wants(view.scope(&team(), &ana()).unwrap_err());
        assert_eq!(scopes, Wanted { scopes: [ana()].into(), ..nothing() });
        let calls = wants(view.reservation(&team(), id).unwrap_err());
        assert_eq!(calls, Wanted { calls: [id].into(), ..nothing() });
        assert_eq!(
            wants(view.is_restored(id).unwrap_err()),
            Wanted { restored: [id].into(), ..nothing() }
        );
        assert_eq!(
            wants(view.past_scopes(&team(), NOW, 9).unwrap_err()),
            Wanted { past: true, ..nothing() }
        );
        assert_eq!(
            wants(view.overdue(&team(), NOW, 9).unwrap_err()),
            Wanted { due: true, ..nothing() }
        );
        let top_ups = wants(view.top_up(&team(), &top_up).unwrap_err());
        assert_eq!(top_ups, Wanted { top_ups: [top_up.clone()].into(), ..nothing() });
        let cells = wants(view.sums(&team(), cell).unwrap_err());
        assert_eq!(cells, Wanted { cells: [cell_name(cell)].into(), ..nothing() });
        let days = wants(view.cells(&team(), cell.day).unwrap_err());
        assert_eq!(days, Wanted { days: [cell.day.to_owned()].into(), ..nothing() });
    });
    let new = BTreeSet::from([id]);
    let view = View::new(&cache, &new, &rules(), NOW);
    assert_eq!(view.reservation(&team(), id).unwrap(), None, "nobody can have admitted it");
}

#[test]
fn an_ended_call_is_written_unless_its_batch_opened_it() {
    let [known_call, changed, (new, record)] = [(); 3].map(|()| call(NOW));
    let calls =
        vec![(known_call.0, Some(known_call.1.clone())), (changed.0, Some(changed.1.clone()))];
    let due = Due { overdue: vec![(known_call.0, NOW - 3)], ..Due::default() };
    let cache = known(Found { calls, due: Some(due), ..Found::default() });
    with(&cache, &rules(), |view| {
        view.put_reservation(&team(), changed.0, changed.1.clone()).unwrap();
        view.put_reservation(&team(), new, record.clone()).unwrap();
        for id in [known_call.0, changed.0, new] {
            assert!(view.take_reservation(&team(), id).unwrap().is_some());
        }
        assert_eq!(view.changes.ended, [known_call.0, changed.0]);
        assert!(view.changes.opened.is_empty());
        assert_eq!(view.overdue, [(known_call.0, NOW - 3, known_call.1.clone())]);
        assert_eq!(view.team_now().ended_late_at, NOW, "only one of them was overdue");
    });
}

#[test]
fn a_team_has_as_many_open_calls_as_its_scope() {
    let mut ledger = Ledger::new();
    for _ in 0..2 {
        ledger.open(Phase::Waiting, 7);
    }
    let cache =
        known(Found { scopes: ledger.kept.scopes.into_iter().collect(), ..Found::default() });
    assert_eq!(with(&cache, &rules(), |view| view.open(&team()).unwrap()), 2);
}

/// The same if the retention of rows has changed.
#[test]
fn a_new_list_of_rows_has_its_expiry_set() {
    let mut rules = rules();
    rules.retention.rows = std::time::Duration::from_secs(64);
    let ends = NOW + 64 * SECOND;
    let lives_on = |rows, until| {
        let record =
            TeamRecord { rows: [rows, rows], rows_until: [until; 2], ..TeamRecord::default() };
        let cache = known(Found { team: record, ..Found::default() });
        [0, 1].map(|list| {
            with(&cache, &rules, |view| {
                view.append_row(&team(), row(1 - list as u64)).unwrap();
                let is = view.changes.rows_live_on[list];
                let (team, other) = (view.team_now(), 1 - list);
                assert_eq!((team.rows[list], team.rows[other]), (rows + 1, rows));
                assert_eq!(
                    (team.rows_until[list], team.rows_until[other]),
                    (if is { ends } else { until }, until)
                );
                is
            })
        })
    };
    for until in [ends, ends - SECOND, ends + SECOND] {
        assert_eq!((lives_on(3, until), lives_on(0, until)), ([false; 2], [true; 2]));
    }
    assert_eq!(
        (lives_on(3, ends - SECOND - 1), lives_on(3, ends + SECOND + 1)),
        ([true; 2], [true; 2])
    );
    rules.retention.rows = std::time::Duration::MAX;
    let cache = known(Found::default());
    let until = with(&cache, &rules, |view| {
        view.append_row(&team(), row(1)).map(|()| view.team_now().rows_until[0])
    });
    assert!(until.unwrap() > NOW + 100 * 365 * DAY, "for ever is long");
}

/// Trims a team of three rows with a cost and two without, settled in the first seconds of Unix
/// time. Returns how many of each are dropped, given a second, the most rows and the most to drop.
fn trimmed(before: i64, rows_max: u64, most: usize) -> (usize, [u64; 2], TeamRecord) {
    let oldest = [vec![SECOND, 2 * SECOND, 3 * SECOND], vec![SECOND, 2 * SECOND]];
    let record = TeamRecord { rows: [3, 2], lost_until: [77, 0], ..TeamRecord::default() };
    let cache = known(Found { team: record, oldest: Some(oldest), ..Found::default() });
    with(&cache, &rules(), |view| {
        let before = Timestamp::from_second(before).unwrap();
        let went = view.trim_rows(&team(), before, rows_max, most).unwrap();
        assert_eq!(view.changes.is_nothing(), went == 0);
        (went, view.changes.trimmed, view.team_now().clone())
    })
}

#[test]
fn old_rows_go_first_and_then_free_ones() {
    let is = |(went, trimmed, record): (usize, [u64; 2], TeamRecord),
              lost: [u64; 2],
              until: [i64; 2]| {
        assert_eq!((record.lost, record.lost_until), (lost, until));
        (went, trimmed, record.rows)
    };
    assert_eq!(is(trimmed(0, 5, 9), [0, 0], [77, 0]), (0, [0, 0], [3, 2]));
    assert_eq!(
        is(trimmed(3, 9, 9), [0, 0], [77, 0]),
        (4, [2, 2], [1, 0]),
        "not what was settled at that moment"
    );
    assert_eq!(is(trimmed(3, 9, 2), [0, 0], [77, 0]), (2, [0, 2], [3, 0]));
    assert_eq!(is(trimmed(0, 2, 9), [1, 2], [SECOND, 2 * SECOND]), (3, [1, 2], [2, 0]));
    assert_eq!(is(trimmed(2, 2, 9), [0, 1], [77, 2 * SECOND]), (3, [1, 2], [2, 0]));
}

#[test]
fn a_row_that_displaces_only_itself_was_just_settled() {
    let cache = known(Found { oldest: Some([vec![], vec![]]), ..Found::default() });
    with(&cache, &rules(), |view| {
        view.append_row(&team(), row(1)).unwrap();
        assert_eq!(view.trim_rows(&team(), Timestamp::UNIX_EPOCH, 0, 9).unwrap(), 1);
        assert_eq!((view.team_now().lost, view.team_now().lost_until), ([1, 0], [NOW, 0]));
    });
    let record = TeamRecord { rows: [3, 2], ..TeamRecord::default() };
    let cache = known(Found { team: record, ..Found::default() });
    let missing = with(&cache, &rules(), |view| {
        view.trim_rows(&team(), Timestamp::UNIX_EPOCH, 4, 9).unwrap_err()
    });
    assert_eq!(
        *missing.0,
        Wanted { oldest: true, ..Wanted::default() },
        "when the oldest was settled is to be known"
    );
}

#[test]
fn an_overdue_call_is_ended_once_and_only_if_known() {
    let [(one, record), (other, _), (unknown, _)] = [(); 3].map(|()| call(NOW));
    let overdue = |ids: &[ReservationId]| {
        let overdue = ids.iter().map(|id| (*id, NOW - 3)).collect();
        let calls = vec![(one, Some(record.clone())), (other, Some(record.clone()))];
        known(Found { calls, due: Some(Due { overdue, ..Due::default() }), ..Found::default() })
    };
    with(&overdue(&[one, other]), &rules(), |view| {
        assert_eq!(view.overdue(&team(), NOW, 9).unwrap(), [one, other]);
        view.take_reservation(&team(), one).unwrap();
        assert_eq!(view.overdue(&team(), NOW, 9).unwrap(), [other]);
    });
    let missing = with(&overdue(&[one, unknown]), &rules(), |view| {
        view.overdue(&team(), NOW, 9).unwrap_err()
    });
    assert_eq!(*missing.0, Wanted { calls: [unknown].into(), ..Wanted::default() });
}

#[test]
fn a_batch_reads_what_it_has_written() {
    let cell = Cell { day: "2026-11-01", user: "ana", model: "m" };
    let days = vec![(cell.day.to_owned(), 2)];
    let (sums, cache) =
        (Sums { refused: 1, ..Sums::default() }, known(Found { days, ..Found::default() }));
    let (id, record) = (TopUpId::new(), TopUpRecord { scope: ana(), credits: 5 });
    let at = Timestamp::UNIX_EPOCH;
    with(&cache, &rules(), |view| {
        view.put_sums(&team(), cell, sums, true).unwrap();
        view.put_sums(&team(), cell, sums, false).unwrap();
        assert_eq!(view.sums(&team(), cell).unwrap(), Some(sums));
        assert_eq!(view.cells(&team(), cell.day).unwrap(), 3, "the day has one cell more");
        view.put_top_up(&team(), &id, &record, (at, at)).unwrap();
        assert_eq!(view.top_up(&team(), &id).unwrap(), Some(record));
    });
}

#[test]
fn usage_ends_by_expiry_and_not_by_a_sweep() {
    let cache = known(Found::default());
    assert_eq!(
        with(&cache, &rules(), |view| view.trim_usage(&team(), Timestamp::MAX, 9).unwrap()),
        0
    );
}

/// Counts rows when this many are listed. Returns whether any are lost, and the corrected counts.
fn counted(rows: [u64; 2], found: [usize; 2], until: [i64; 2]) -> (bool, Option<[u64; 2]>) {
    let record = TeamRecord { rows, rows_until: until, ..TeamRecord::default() };
    let oldest = Some(found.map(|rows| vec![SECOND; rows]));
    let cache = known(Found { team: record, oldest, ..Found::default() });
    with(&cache, &rules(), |view| {
        (view.count_rows(), view.changes.team.as_ref().map(|team| team.rows))
    })
}

#[test]
fn rows_missing_before_their_time_are_lost_and_not_counted() {
    let later = NOW + 1;
    assert_eq!(counted([5, 2], [2, 2], [later; 2]), (true, Some([2, 2])));
    assert_eq!(counted([2, 5], [2, 2], [later; 2]), (true, Some([2, 2])));
    assert_eq!(counted([5, 5], [2, 2], [later; 2]), (true, Some([2, 2])));
    assert_eq!(counted([5, 5], [2, 2], [NOW; 2]), (false, Some([2, 2])), "their time was over");
    assert_eq!(counted([2, 2], [2, 2], [later; 2]), (false, None));
    assert_eq!(
        counted([300, 2], [256, 2], [later; 2]),
        (false, None),
        "no more are listed than that"
    );
}

#[test]
fn a_call_unclaimed_since_a_loss_may_have_come_further() {
    let may_have = |team, claimed| {
        let record = ReservationRecord { claimed, ..call(NOW).1 };
        let cache = known(Found { team, ..Found::default() });
        with(&cache, &rules(), |view| view.may_have_come_further(&record))
    };
    assert!(may_have(after_a_loss(NOW - 1), 4) && !may_have(after_a_loss(NOW - 1), 5));
    assert!(!may_have(after_a_loss(NOW - DAY - 1), 4), "that is over");
    assert!(!may_have(TeamRecord::default(), 4));
}
