//! What operations do to the records of a team.
use super::*;
use crate::ledger::machine::memory_records::{
    Ledger, NOW, SECOND, TTL, call, charged, of, team, user,
};
use crate::ledger::{Scope, Swept};
use crate::team::{Limit, LimitKind};

const DAY: i64 = 86_400 * SECOND;

fn statuses_of(verdict: Verdict) -> Vec<LimitStatus> {
    match verdict {
        Verdict::Admitted { statuses, .. } | Verdict::Refused { statuses, .. } => statuses,
    }
}

fn is_admitted(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Admitted { .. })
}

#[test]
fn a_call_keeps_its_phase_for_a_reservations_life() {
    for phase in [Phase::Waiting, Phase::Dispatched, Phase::TurnedBack] {
        let mut ledger = Ledger::new();
        let id = ledger.open(phase, 7);
        let record = ledger.kept.calls.get(&id).unwrap();
        assert_eq!((record.phase(), record.deadline, record.price), (Some(phase), NOW + TTL, 7));
        assert_eq!(record.scopes, [Scope::Team, user("ana")].each_ref().map(ScopeName::from));
    }
}

#[test]
fn a_call_that_is_asked_for_twice_is_admitted_once() {
    let mut ledger = Ledger::new();
    let admission = call([of(Scope::Team, [Limit::new(LimitKind::Concurrent, 1)])], 7);
    for _ in 0..2 {
        let verdict = ledger.admit(&admission);
        assert!(is_admitted(&verdict), "{verdict:?}");
        assert_eq!(
            statuses_of(verdict).iter().map(|status| status.reserved).collect::<Vec<_>>(),
            [1]
        );
    }
}

#[test]
fn a_refused_call_changes_nothing_but_a_wrong_clocks_bucket() {
    let mut ledger = Ledger::new();
    let admission = || call([of(Scope::Team, [Limit::new(LimitKind::RequestsPerMinute, 1)])], 0);
    assert!(is_admitted(&ledger.admit(&admission())));
    let refused = |ledger: &mut Ledger| {
        let before = ledger.kept.clone();
        let mut machine = ledger.machine();
        let verdict = machine.admit(&admission()).unwrap();
        let changed = machine.changed();
        assert_eq!(before != ledger.kept, changed);
        match verdict {
            Verdict::Refused { retry_at, .. } => (retry_at.map(Timestamp::as_microsecond), changed),
            Verdict::Admitted { .. } => (None, changed),
        }
    };
    assert_eq!(refused(&mut ledger), (Some(NOW + 60 * SECOND), false));
    // The clock had been a day ahead.
    ledger.now = NOW - DAY;
    assert_eq!(refused(&mut ledger), (Some(NOW - DAY + 60 * SECOND), true));
    ledger.now += 59 * SECOND;
    assert_eq!(refused(&mut ledger), (Some(NOW - DAY + 60 * SECOND), false));
    ledger.now += SECOND;
    assert!(is_admitted(&ledger.admit(&admission())), "the token is back a minute after that");
}

#[test]
fn a_shadow_limit_refuses_nobody_and_says_whom_it_would() {
    let shadow = |kind, max| Limit { shadow: true, ..Limit::new(kind, max) };
    let limits = [shadow(LimitKind::RequestsPerDay, 0), shadow(LimitKind::RequestsPerMonth, 5)];
    let (mut ledger, admission) = (Ledger::new(), call([of(Scope::Team, limits)], 0));
    let (quoted, admitted) =
        (ledger.machine().quote(&admission).unwrap(), ledger.admit(&admission));
    for verdict in [quoted, admitted] {
        assert!(is_admitted(&verdict));
        let would_have: Vec<_> =
            statuses_of(verdict).iter().map(|status| status.shadow_refused).collect();
        assert_eq!(would_have, [true, false]);
    }
}

/// The mark is written once.
#[test]
fn a_mark_says_whether_the_call_is_open() {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    let mut mark = |id, phase| {
        let mut machine = ledger.machine();
        (machine.mark(&team(), id, phase).unwrap(), machine.changed())
    };
    assert_eq!(mark(id, Phase::Dispatched), (true, true));
    assert_eq!(mark(id, Phase::Dispatched), (true, false));
    assert_eq!(mark(id, Phase::TurnedBack), (true, true));
    assert_eq!(mark(ReservationId::new(), Phase::Dispatched), (false, false));
    assert_eq!(ledger.kept.calls.get(&id).unwrap().marks, 2);
    ledger.machine().settle(&team(), &charged(id, 7)).unwrap();
    assert!(!ledger.machine().mark(&team(), id, Phase::Dispatched).unwrap());
}

#[test]
fn renewing_an_overdue_call_extends_its_deadline() {
    let mut ledger = Ledger::new();
    let [mine, left] = [(); 2].map(|()| ledger.open(Phase::Waiting, 7));
    ledger.now = NOW + TTL;
    let mut machine = ledger.machine();
    machine.renew(&team(), &[mine, ReservationId::new()]).unwrap();
    assert!(machine.changed());
    let swept: Vec<_> = machine.take_swept().into_iter().map(|ended| ended.swept).collect();
    assert_eq!(swept, [Swept { released: 1, ..Swept::default() }], "the other one was left behind");
    let deadlines: Vec<_> =
        ledger.kept.calls.iter().map(|(id, record)| (*id, record.deadline)).collect();
    assert_eq!(deadlines, [(mine, NOW + 2 * TTL)]);
    assert_eq!(ledger.kept.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [left]);
}

#[test]
fn nothing_is_ended_while_the_store_has_only_just_returned() {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Waiting, 7);
    ledger.now = NOW + TTL;
    for (ends, left) in [(false, vec![id]), (true, vec![])] {
        let mut machine = ledger.machine();
        machine.ends_overdue(ends);
        machine.sweep(&team()).unwrap();
        assert_eq!(machine.changed(), ends);
        assert_eq!(ledger.kept.calls.keys().copied().collect::<Vec<_>>(), left);
    }
}

#[test]
fn an_abandoned_call_is_released_and_reported_once() {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Dispatched, 7);
    for (settled, abandoned) in
        [(Settled::Now(Credits::ZERO), vec![team()]), (Settled::Before, vec![])]
    {
        let mut machine = ledger.machine();
        assert_eq!(machine.abandon(&team(), id).unwrap(), settled);
        assert_eq!(machine.take_abandoned(), abandoned);
    }
}

#[test]
fn ending_a_call_does_not_recreate_a_forgotten_scope() {
    let mut ledger = Ledger::new();
    let id = ledger.open(Phase::Dispatched, 7);
    let ana = ScopeName::from(&user("ana"));
    ledger.kept.scopes.remove(&ana);
    assert_eq!(
        ledger.machine().settle(&team(), &charged(id, 9)).unwrap(),
        Settled::Now(Credits::from_micros(7))
    );
    assert_eq!(ledger.kept.scopes.keys().collect::<Vec<_>>(), [&ScopeName::from(&Scope::Team)]);
    let windows =
        &ledger.kept.rows.first().map(|row| (row.day.clone(), row.month.clone())).unwrap();
    assert_eq!(windows, &("2027-01-15".to_owned(), "2027-01".to_owned()));
    assert_eq!(ledger.scope(&Scope::Team).open(), 0);
}
