//! Cases: users and keys with any names never share a count.

use moongate::ledger::Scope;
use moongate::team::LimitKind;

use super::Bench;
use super::harness::{Fixture, PRICE, call, key, limit, user};

fn odd_names() -> Vec<String> {
    let plain = [
        "a",
        "A",
        "{a}",
        "{a",
        "a}",
        "}{",
        "a:b",
        "a",
        "*",
        "?",
        "[a]",
        "a b",
        " a",
        "a ",
        "a\\",
        "\\a",
        "a|b",
        "a/b",
        "../a",
        "%61",
        "a%00",
        "\"a\"",
        "'a'",
        "a,b",
        "ü",
        "u\u{308}",
        "Ü",
        "用户",
        "🌙",
        "\u{202e}a",
        "user:a",
        "team",
        "key:a",
        "total",
        "day",
        "2026-11-22",
        "ana\u{a0}",
        "0",
        "-1",
        "null",
    ];
    let mut names: Vec<String> = plain.map(str::to_owned).into();
    names.extend([
        "n".repeat(200),
        format!("{}m", "n".repeat(199)),
        "n".repeat(256),
        "é".repeat(128),
    ]);
    names.sort();
    names.dedup();
    names
}

pub(crate) async fn odd_user_names_never_share_a_count<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let limits = [
        limit(LimitKind::RequestsPerHour, 1),
        limit(LimitKind::CreditsTotal, PRICE),
        limit(LimitKind::Concurrent, 1),
    ];
    for name in odd_names() {
        let call = call().user(&name, limits);
        fixture.admit(&call).await;
        assert_eq!(fixture.refuse(&call).await.binding.scope, user(&name));
    }
    for name in odd_names() {
        let counted = fixture.counted_at(&call(), user(&name), LimitKind::CreditsPerMonth).await;
        assert_eq!(counted, (0, PRICE), "{name:?}");
    }
}

pub(crate) async fn a_user_key_and_team_of_one_name_are_separate<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let name = "k7Qp2mZr9aBc";
    let by_user = call().team(name).user(name, [limit(LimitKind::RequestsPerDay, 1)]);
    let by_key = call().team(name).level(key(name), [limit(LimitKind::RequestsPerDay, 1)]);
    fixture.pay(&by_user).await;
    fixture.pay(&by_key).await;
    for scope in [user(name), key(name)] {
        assert_eq!(fixture.counted_at(&by_key, scope, LimitKind::RequestsPerDay).await, (1, 0));
    }
    assert_eq!(fixture.counted_at(&by_key, Scope::Team, LimitKind::RequestsPerDay).await, (2, 0));
}

pub(crate) async fn teams_of_similar_names_are_apart<B: Bench>() {
    let fixture = Fixture::<B>::open().await;
    let names =
        ["a", "A", "a.b", "a-b", "a_b", "ab", "a..b", "1", "design", "design.1", &"t".repeat(64)];
    let of = |name: &str| call().team(name).limits([limit(LimitKind::Concurrent, 1)]);
    for name in names {
        fixture.admit(&of(name)).await;
        fixture.refuse(&of(name)).await;
    }
    for name in names {
        assert_eq!(fixture.snapshot(&of(name)).await.open, 1, "{name}");
        assert_eq!(
            fixture.counted_at(&of(name), user("ana"), LimitKind::RequestsPerDay).await,
            (0, 1),
            "{name}"
        );
    }
}
