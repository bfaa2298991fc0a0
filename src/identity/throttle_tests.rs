//! Tests of the throttle: slowed and refused networks, and networks that a flood must not affect.
#![allow(clippy::expect_used)]

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Ten failures in ten seconds; refused for a minute.
fn settings() -> Settings {
    Settings { failures: 10, within: 10 * SECOND, refuse_for: 60 * SECOND, ..Settings::default() }
}

fn network(text: &str) -> Network {
    text.parse::<IpAddr>().expect(text).into()
}

fn fail(throttle: &Throttle, from: &str, now: Duration) -> Answered {
    throttle.failed(network(from), &settings(), now)
}

/// Fails until it is refused; returns how many failures were answered at once and how many slowly.
fn exhaust(throttle: &Throttle, from: &str, now: Duration) -> (usize, usize) {
    let (mut at_once, mut slowly) = (0, 0);
    loop {
        match fail(throttle, from, now) {
            Answered::AtOnce => at_once += 1,
            Answered::Slowly => slowly += 1,
            Answered::Refused(wait) => {
                assert_eq!(wait, 60 * SECOND);
                return (at_once, slowly);
            }
        }
        assert!(at_once + slowly < 1000, "never refused");
    }
}

fn is_free(throttle: &Throttle, from: &str, now: Duration) -> bool {
    matches!(throttle.enter(network(from), now), Entry::Free)
}

#[test]
fn failures_are_slowed_then_refused_and_forgotten_in_time() {
    let (throttle, start) = (Throttle::new("teams"), 1000 * SECOND);
    assert_eq!(exhaust(&throttle, "192.0.2.1", start), (5, 5));
    assert_eq!(
        fail(&throttle, "192.0.2.1", start + 20 * SECOND),
        Answered::Refused(40 * SECOND),
        "no longer for trying"
    );
    assert!(!is_free(&throttle, "192.0.2.1", start + 59 * SECOND));
    assert!(is_free(&throttle, "192.0.2.1", start + 60 * SECOND));
    assert_eq!(exhaust(&throttle, "192.0.2.1", start + 60 * SECOND), (5, 5), "then it begins anew");
}

#[test]
fn who_fails_now_and_then_is_never_slowed() {
    let throttle = Throttle::new("teams");
    for second in 0..1000 {
        assert_eq!(fail(&throttle, "192.0.2.1", second * SECOND), Answered::AtOnce, "{second}");
    }
}

/// All addresses of one IPv6 subscriber count as one.
#[test]
fn an_address_is_blocked_for_its_own_failures_only() {
    let (throttle, now) = (Throttle::new("teams"), SECOND);
    exhaust(&throttle, "192.0.2.1", now);
    exhaust(&throttle, "2001:db8:1:2::1", now);
    for (from, held) in [
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("192.0.2.2", false),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", true),
        ("2001:db8:1:3::1", false),
        ("::1", false),
    ] {
        assert_eq!(!is_free(&throttle, from, now), held, "{from}");
    }
    assert_eq!(network("2001:db8:1:2:3:4:5:6").to_string(), "2001:db8:1:2::/64");
    assert_eq!(network("::ffff:192.0.2.1").to_string(), "192.0.2.1");
}

#[test]
fn a_refused_network_still_has_a_few_credentials_checked() {
    let (throttle, now) = (Throttle::new("teams"), SECOND);
    exhaust(&throttle, "192.0.2.1", now);
    let mut looked_at: Vec<Entry> =
        (0..LOOKED_AT_MAX).map(|_| throttle.enter(network("192.0.2.1"), now)).collect();
    assert!(looked_at.iter().all(|entry| matches!(entry, Entry::Held(_))));
    assert!(matches!(throttle.enter(network("192.0.2.1"), now), Entry::Busy));
    assert!(is_free(&throttle, "192.0.2.2", now));
    looked_at.pop();
    assert!(matches!(throttle.enter(network("192.0.2.1"), now), Entry::Held(_)));
}

#[test]
fn a_flood_from_many_addresses_evicts_and_blocks_nobody() {
    let (throttle, now) = (Throttle::new("teams"), SECOND);
    exhaust(&throttle, "192.0.2.1", now);
    let attackers = || {
        (0..40_000_u32)
            .map(|number| IpAddr::from(Ipv6Addr::from(u128::from(number) << 64 | 0x20 << 120)))
    };
    for attacker in attackers() {
        for _ in 0..11 {
            let _ = throttle.failed(attacker.into(), &settings(), now);
        }
    }
    let held = attackers()
        .filter(|attacker| !matches!(throttle.enter((*attacker).into(), now), Entry::Free))
        .count();
    assert!((SHELVES * PLACES / 2..=SHELVES * PLACES).contains(&held), "{held}");
    let kept: usize =
        throttle.0.shelves.iter().map(|shelf| shelf.lock().expect("shelf").len()).sum();
    assert!(kept <= SHELVES * PLACES, "{kept}");
    assert!(
        !is_free(&throttle, "192.0.2.1", now),
        "whoever was held before the flood is held still"
    );
    let honest = (0..=255).map(|last| format!("198.51.100.{last}"));
    for honest in honest {
        assert!(is_free(&throttle, &honest, now), "{honest}");
        assert_eq!(fail(&throttle, &honest, now), Answered::AtOnce, "{honest}");
    }
    let later = now + 61 * SECOND;
    assert_eq!(
        exhaust(&throttle, "203.0.113.1", later),
        (5, 5),
        "and the places are free again afterwards"
    );
}
