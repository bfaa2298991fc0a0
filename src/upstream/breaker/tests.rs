//! Tests of the breaker alone: what opens it, for how long, and what closes it.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const NOW: Duration = Duration::from_secs(1_000_000);

const SETTINGS: Settings = Settings {
    consecutive_failures: 3,
    open_for: Duration::from_secs(8),
    open_for_max: Duration::from_secs(20),
};

fn team(name: &str) -> TeamId {
    TeamId::parse(name).expect("a team")
}

fn breaker() -> Breaker {
    Breaker::new(Some(SETTINGS), None)
}

/// Whether it opened by one of these.
fn see(breaker: &Breaker, health_signal: &[HealthSignal]) -> bool {
    health_signal
        .iter()
        .map(|health_signal| breaker.note(&team("design"), *health_signal, NOW))
        .fold(false, |opened, opens| opened | opens)
}

/// Checks that it is open for half to all of `of`.
fn assert_open_for(breaker: &Breaker, of: Duration) {
    let left = breaker.until_probe(NOW).expect("open");
    assert!(left >= of / 2 && left <= of, "{left:?} of {of:?}");
    assert_eq!(breaker.check(NOW), Err(Refusal::UpstreamUnavailable { retry_after: left }));
}

#[test]
fn consecutive_failures_open_it_and_a_success_resets_the_count() {
    let breaker = breaker();
    assert!(!see(
        &breaker,
        &[
            HealthSignal::Failed,
            HealthSignal::Failed,
            HealthSignal::Alive,
            HealthSignal::Failed,
            HealthSignal::Failed
        ]
    ));
    assert_eq!(breaker.check(NOW), Ok(()));
    assert!(see(&breaker, &[HealthSignal::Failed]));
    assert_open_for(&breaker, SETTINGS.open_for);
}

#[test]
fn one_teams_upstream_errors_never_open_it_several_teams_do() {
    let breaker = breaker();
    assert!(!see(&breaker, &[HealthSignal::ErrorOfItsOwn; 1000]));
    assert!(!breaker.note(&team("growth"), HealthSignal::ErrorOfItsOwn, NOW));
    assert!(breaker.note(&team("labs"), HealthSignal::ErrorOfItsOwn, NOW));
    let mixed = self::breaker();
    assert!(!see(
        &mixed,
        &[HealthSignal::ErrorOfItsOwn, HealthSignal::ErrorOfItsOwn, HealthSignal::Failed]
    ));
    assert!(see(&mixed, &[HealthSignal::Failed]));
}

#[test]
fn each_failed_probe_lengthens_the_pause_up_to_a_bound() {
    let breaker = breaker();
    see(&breaker, &[HealthSignal::Failed; 3]);
    assert_open_for(&breaker, 8 * SECOND);
    breaker.stay_open(NOW);
    assert_open_for(&breaker, 16 * SECOND);
    for _ in 0..100 {
        breaker.stay_open(NOW);
        assert_open_for(&breaker, 20 * SECOND);
    }
}

/// The time it is open for next is shortened only by an answered call.
#[test]
fn an_answered_probe_closes_the_breaker() {
    let breaker = breaker();
    see(&breaker, &[HealthSignal::Failed; 3]);
    breaker.close();
    assert_eq!(breaker.check(NOW), Ok(()));
    assert!(see(&breaker, &[HealthSignal::Failed; 3]), "it takes as many failures as before");
    assert_open_for(&breaker, 16 * SECOND);
    breaker.close();
    see(&breaker, &[HealthSignal::Alive]);
    see(&breaker, &[HealthSignal::Failed; 3]);
    assert_open_for(&breaker, 8 * SECOND);
}

#[test]
fn calls_that_were_under_way_when_it_opened_change_nothing() {
    let breaker = breaker();
    see(&breaker, &[HealthSignal::Failed; 3]);
    let due = breaker.until_probe(NOW);
    assert!(!breaker.note(&team("design"), HealthSignal::Failed, NOW + 5 * SECOND));
    see(&breaker, &[HealthSignal::Alive]);
    assert_eq!(breaker.until_probe(NOW), due, "only the probe closes it");
    assert_eq!(breaker.until_probe(NOW + 60 * SECOND), Some(Duration::ZERO), "the probe is due");
}

#[test]
fn a_reload_keeps_the_breakers_state_and_may_disable_it() {
    let breaker = breaker();
    see(&breaker, &[HealthSignal::Failed; 3]);
    assert!(Breaker::new(Some(SETTINGS), Some(&breaker)).is_open());
    let off = Breaker::new(None, Some(&breaker));
    assert!(!off.is_open() && off.check(NOW).is_ok());
    assert!(!see(&off, &[HealthSignal::Failed; 100]));
}
