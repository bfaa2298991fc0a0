//! When a team's records expire.
use tokio::sync::oneshot;

use super::*;
use crate::ledger::Level;
use crate::ledger::keeper::cache::TeamCache;
use crate::ledger::keeper::step::{Found, TeamRecord};
use crate::ledger::machine::memory_records::{Ledger, NOW, call, of, team, user};
use crate::ledger::machine::{Records, Revision};
use crate::team::LimitKind;

const LEAST: i64 = NOW + 1830 * DAY;

fn prepaid(scope: Scope) -> Level {
    of(scope, [Limit::new(LimitKind::CreditsTotal, 5)])
}

fn asks(level: Level) -> Vec<Operation> {
    vec![Operation::Quote { admission: Box::new(call([level], 0)), response: oneshot::channel().0 }]
}

/// The team's new expiry, if it changes, given its cached records and a change to them.
fn news(
    known: TeamRecord,
    operations: &[Operation],
    change: impl FnOnce(&mut View<'_>),
) -> Option<i64> {
    let mut cache = TeamCache::default();
    let revision = Some(Revision::new(5, 50, 0));
    cache.learn(Found { revision, team: known, ..Found::default() }, 0, (NOW, NOW));
    let (new, rules) = (std::collections::BTreeSet::new(), Ledger::new().rules);
    let mut view = View::new(&cache, &new, &rules, NOW);
    change(&mut view);
    let_live(&mut view, operations, &rules);
    assert_eq!(view.team_now().until != cache.team().until, view.changes.lives_on);
    view.changes.lives_on.then_some(view.team_now().until)
}

fn until(until: i64) -> TeamRecord {
    TeamRecord { until, ..TeamRecord::default() }
}

fn touches(view: &mut View<'_>) {
    view.changes.touched = true;
}

fn topped_up(micros: u64) -> impl FnOnce(&mut View<'_>) {
    move |view| {
        let mut record = ScopeRecord::default();
        record.set_topped_up(micros);
        view.put_scope(&team(), &ScopeName::from(&Scope::Team), record).unwrap();
    }
}

#[test]
fn a_teams_life_is_extended_once_a_day_while_used() {
    let sweep = [Operation::Sweep { response: oneshot::channel().0 }];
    assert_eq!(
        (news(until(NOW), &[], |_| {}), news(until(NOW), &sweep, |_| {})),
        (None, Some(LEAST))
    );
    assert_eq!(news(until(LEAST - DAY), &[], touches), Some(LEAST));
    assert_eq!(news(until(LEAST - DAY + 1), &[], touches), None);
}

#[test]
fn a_team_with_a_prepaid_budget_lives_for_ever() {
    let ops = asks(prepaid(Scope::Team));
    assert_eq!(news(until(NOW), &ops, touches), Some(FOR_EVER));
    assert_eq!(
        news(until(NOW), &asks(prepaid(user("ana"))), touches),
        Some(LEAST),
        "not as long as ana counts nothing"
    );
    assert_eq!(news(TeamRecord { prepaid: 1, ..until(NOW) }, &[], touches), Some(FOR_EVER));
    assert_eq!(news(until(NOW), &[], topped_up(1)), Some(FOR_EVER));
    assert_eq!(news(until(NOW), &[], topped_up(0)), Some(LEAST));
}

/// Whether anything is prepaid is known only to a process that knows the limits.
#[test]
fn a_permanent_team_ends_when_nothing_is_prepaid() {
    let none = asks(of(Scope::Team, []));
    assert_eq!(news(until(FOR_EVER), &[], touches), None);
    assert_eq!(news(until(FOR_EVER), &asks(prepaid(Scope::Team)), touches), None);
    assert_eq!(news(until(FOR_EVER), &none, touches), Some(LEAST));
}

#[test]
fn permanent_users_and_keys_are_counted() {
    let mut counts = ScopeRecord::default();
    counts.set_topped_up(1);
    let mut ends = counts.clone();
    ends.set_until(Some(NOW));
    let (cache, new) = (TeamCache::default(), std::collections::BTreeSet::new());
    let rules = Ledger::new().rules;
    let mut view = View::new(&cache, &new, &rules, NOW);
    let [ana, whole] = [user("ana"), Scope::Team].each_ref().map(ScopeName::from);
    view.put_scope(&team(), &whole, counts.clone()).unwrap();
    for (record, prepaid) in [(&ends, 0), (&counts, 1), (&counts, 1), (&ends, 0), (&counts, 1)] {
        view.put_scope(&team(), &ana, record.clone()).unwrap();
        assert_eq!(view.team_now().prepaid, prepaid);
    }
    view.drop_scope(&team(), &ana).unwrap();
    assert_eq!(view.team_now().prepaid, 0);
}
