//! How long Redis keeps the past: what is old goes by itself, and takes nothing with it that still counts.

use std::sync::Arc;
use std::time::Duration;

use jiff::ToSpan;
use moongate::clock::Clock;
use moongate::ledger::redis::{Settings, StoreClock};
use moongate::ledger::{Ledger, Outcome, ReservationId, Retention, Scope, TopUp, TopUpId, Verdict};
use moongate::team::LimitKind;

use super::{handle, patient};
use crate::ledger_conformance::desk::{Call, MORNING, PRICE, call, credits, key, limit, moment, settlement, user};
use crate::support::redis::{RedisServer, wait_until};

const DAY: i64 = 86_400;

/// A store at a time of its own, and how long its keys live.
struct Kept {
    server: RedisServer,
    clock: Clock,
    ledger: Arc<dyn Ledger>,
}

impl Kept {
    async fn start() -> Self {
        let (server, clock) = (RedisServer::start().await, Clock::moved(moment(MORNING)));
        let ledger = handle(Settings { clock: StoreClock::Fixed(clock.clone()), ..patient(&server) });
        Self { server, clock, ledger }
    }

    async fn admit(&self, call: &Call) -> ReservationId {
        let id = ReservationId::new();
        assert!(matches!(self.ledger.admit(call.admission(id)).await.unwrap(), Verdict::Admitted { .. }));
        id
    }

    async fn pay(&self, call: &Call) {
        let id = self.admit(call).await;
        self.ledger.settle(&call.team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
    }

    /// The days that a key of the team still lives; -1: for ever, -2: it is not there.
    async fn days(&self, key: &str) -> i64 {
        let seconds: i64 = self.server.ask(&["TTL", &format!("mg1:{{design}}:{key}")]).await.unwrap();
        if seconds < 0 { seconds } else { seconds / DAY }
    }
}

#[tokio::test]
async fn what_a_user_counted_is_kept_until_its_month_is_over_everywhere_and_forgotten_then() {
    let kept = Kept::start().await;
    let call = call().level(key("k7Qp2mZr9aBc"), []);
    let running = kept.admit(&call).await;
    for scope in ["s:user:ana", "s:key:k7Qp2mZr9aBc"] {
        // It is the 22nd of November.
        let days = kept.days(scope).await;
        assert!((8 + 2..8 + 10).contains(&days), "{scope}: {days}");
    }
    kept.ledger.settle(&call.team, settlement(running, Outcome::Charged, PRICE)).await.unwrap();
    assert!(kept.days("s:user:ana").await < 20, "a settlement knows no month, and changes nothing");
    kept.clock.set(moment("2026-12-01T00:00:00Z"));
    kept.pay(&call).await;
    assert!((31 + 2..31 + 10).contains(&kept.days("s:user:ana").await), "another month has begun");
    let refused = call.user("bo", [limit(LimitKind::CreditsTotal, 0)]);
    let verdict = kept.ledger.admit(refused.admission(ReservationId::new())).await.unwrap();
    assert!(matches!(verdict, Verdict::Refused { .. }));
    assert_eq!(kept.days("s:user:bo").await, -2, "a refusal leaves no key");
}

#[tokio::test]
async fn what_was_counted_in_all_is_kept_for_as_long_as_a_budget_asks_for_it() {
    let kept = Kept::start().await;
    let prepaid = call().user("ana", [limit(LimitKind::CreditsTotal, 10 * PRICE)]);
    kept.pay(&call()).await;
    assert!(kept.days("s:user:ana").await > 0);
    kept.pay(&prepaid).await;
    assert_eq!((kept.days("s:user:ana").await, kept.days("s:team").await > 399), (-1, true));
    kept.pay(&prepaid).await;
    assert_eq!(kept.days("s:user:ana").await, -1);
    kept.pay(&call()).await;
    assert!(kept.days("s:user:ana").await > 0, "nobody asks any more");
    let team = call().limits([limit(LimitKind::CreditsTotal, 100 * PRICE)]);
    kept.pay(&team).await;
    for own in ["s:team", "open", "held", "there"] {
        assert_eq!(kept.days(own).await, -1, "{own}");
    }
    kept.pay(&call()).await;
    for own in ["s:team", "open", "held", "there"] {
        assert!(kept.days(own).await > 399, "{own} lives as long as the team");
    }
    let top_up = TopUp { id: TopUpId::parse("a").unwrap(), scope: user("ana"), credits: credits(PRICE) };
    kept.ledger.top_up(&call().team, top_up).await.unwrap();
    kept.pay(&call()).await;
    assert_eq!(kept.days("s:user:ana").await, -1, "what was topped up is never forgotten");
}

#[tokio::test]
async fn a_bucket_is_kept_until_it_is_full_again() {
    let kept = Kept::start().await;
    let hourly = moongate::team::Limit { burst: 2_000, ..limit(LimitKind::RequestsPerHour, 1) };
    let call = call().user("ana", [hourly]);
    for _ in 0..1_200 {
        kept.admit(&call).await;
    }
    assert!(kept.days("s:user:ana").await >= 50, "1200 hours");
}

#[tokio::test]
async fn a_team_that_is_looked_after_does_not_end_and_what_it_knows_of_users_does_not_grow_for_ever() {
    let kept = Kept::start().await;
    let there = async || kept.server.ask::<i64>(&["ZCARD", "mg1:{design}:there"]).await.unwrap();
    for month in ["2026-12-05", "2027-01-05", "2027-02-05", "2027-03-05", "2027-04-05"] {
        kept.clock.set(moment(&format!("{month}T10:00:00Z")));
        for number in 0..40 {
            kept.pay(&call().user(&format!("pull-request-{month}-{number}"), [])).await;
        }
    }
    assert!(there().await < 120, "those of the last two months and a few: {}", there().await);
    for own in ["s:team", "open", "held", "there"] {
        kept.server.run(&["EXPIRE", &format!("mg1:{{design}}:{own}"), "1000"]).await;
    }
    kept.clock.set(moment("2027-04-07T10:00:00Z"));
    kept.ledger.sweep(&call().team).await.unwrap();
    for own in ["s:team", "open", "held", "there"] {
        assert!(kept.days(own).await > 399, "{own}");
    }
}

#[tokio::test]
async fn rows_that_are_kept_for_another_time_than_before_are_no_loss_when_they_go() {
    let (server, clock) = (RedisServer::start().await, Clock::moved(moment(MORNING)));
    let with = |rows| {
        let retention = Retention { rows, ..Retention::default() };
        handle(Settings { retention, clock: StoreClock::Fixed(clock.clone()), ..patient(&server) })
    };
    let (long, short) = (with(Duration::from_secs(400 * 86_400)), with(Duration::from_secs(3_600)));
    let pay = async |ledger: &Arc<dyn Ledger>| {
        let id = ReservationId::new();
        ledger.admit(call().admission(id)).await.unwrap();
        ledger.settle(&call().team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
    };
    pay(&long).await;
    clock.set(clock.now() + Duration::from_secs(7_200));
    short.sweep(&call().team).await.unwrap();
    assert_eq!(long.rows(&call().team, 0, 10).await.unwrap().total, 0, "they were swept");
    pay(&long).await;
    pay(&short).await;
    assert!(server.ask::<i64>(&["TTL", "mg1:{design}:rows"]).await.unwrap() <= 3_600);
    clock.set(clock.now() + Duration::from_secs(7_200));
    server.run(&["DEL", "mg1:{design}:rows"]).await;
    pay(&long).await;
    assert!(long.closed().is_empty() && short.closed().is_empty(), "their time was over");
}

#[tokio::test]
async fn nothing_but_a_prepaid_budget_and_the_list_of_teams_lives_for_ever() {
    let kept = Kept::start().await;
    let every_kind = LimitKind::ALL.into_iter().filter(|kind| *kind != LimitKind::CreditsTotal);
    let limits: Vec<_> = every_kind.map(|kind| limit(kind, 1_000 * PRICE)).collect();
    let full = call().limits(limits.clone()).user("ana", limits.clone()).level(key("k7Qp2mZr9aBc"), limits);
    kept.pay(&full).await;
    kept.admit(&full.clone().waiting()).await;
    let reader = moongate::ledger::Level {
        scope: Scope::Account(moongate::team::UserId::parse("ana").unwrap()),
        limits: Arc::new(moongate::team::Limits::new([limit(LimitKind::RequestsPerMinute, 9)])),
    };
    let inquiry = moongate::ledger::Inquiry {
        team: full.team.clone(),
        levels: full.levels.clone(),
        time_zone: full.zone.clone(),
        reader: Some(reader),
    };
    kept.ledger.books(inquiry).await.unwrap();
    let prepaid = call().team("growth").user("bo", [limit(LimitKind::CreditsTotal, 9 * PRICE)]);
    kept.pay(&prepaid).await;
    let top_up = TopUp { id: TopUpId::parse("a").unwrap(), scope: user("cy"), credits: credits(PRICE) };
    kept.ledger.top_up(&prepaid.team, top_up).await.unwrap();
    // A loss, and what is brought meanwhile.
    let other = call().team("brand").user("ana", [limit(LimitKind::CreditsPerDay, 9 * PRICE)]);
    kept.pay(&other).await;
    kept.server.run(&["DEL", "mg1:{brand}:s:user:ana"]).await;
    kept.ledger.admit(other.admission(ReservationId::new())).await.unwrap_err();

    let mut keys: Vec<String> = kept.server.ask(&["KEYS", "*"]).await.unwrap();
    keys.sort();
    let of = |part: &str| assert!(keys.iter().any(|key| key.contains(part)), "{part} of {keys:?}");
    for part in ["account:", "usage:", "topup:", "rows", "open", "held", "there", "floors", "s:key:", "vouched:"] {
        of(part);
    }
    let mut lasting = Vec::new();
    for key in keys {
        if kept.server.ask::<i64>(&["PTTL", &key]).await.unwrap() < 0 {
            lasting.push(key);
        }
    }
    let exceptions = [
        // Of the store itself, one: which teams it has had.
        "mg1:teams",
        // Prepaid: what was used of it must be known for as long as it is configured, and what was added, always.
        "mg1:{growth}:s:user:bo",
        "mg1:{growth}:s:user:cy",
        // Of the store itself, one: since when it is known.
        "mg1:{mg1:teams}:reigns",
    ];
    assert_eq!(lasting, exceptions);
}

#[tokio::test]
async fn the_sums_of_a_day_are_gone_after_their_retention_though_nobody_adds_to_them() {
    let server = RedisServer::start().await;
    let usage = Duration::from_secs(3);
    let ledger = handle(Settings { retention: Retention { usage, ..Retention::default() }, ..patient(&server) });
    let call = call().limits([limit(LimitKind::CreditsTotal, 10 * PRICE)]);
    let id = ReservationId::new();
    assert!(matches!(ledger.admit(call.admission(id)).await.unwrap(), Verdict::Admitted { .. }));
    ledger.settle(&call.team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
    let keys = async || server.ask::<Vec<String>>(&["KEYS", "mg1:{design}:usage:*"]).await.unwrap();
    let mut left = 0;
    for key in keys().await {
        left = server.ask(&["PTTL", &key]).await.unwrap();
    }
    assert!(left <= 3_000, "{left}");
    wait_until("they are gone", || async { keys().await.is_empty() }).await;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let told = ledger.usage(&call.team, today.saturating_sub(1.day())..=today.saturating_add(1.day())).await.unwrap();
    assert_eq!(told, []);
    let levels = call.levels.clone();
    let inquiry = moongate::ledger::Inquiry { team: call.team, levels, time_zone: call.zone, reader: None };
    assert_eq!(ledger.books(inquiry).await.unwrap().standings[0].used, PRICE, "the budget has not forgotten");
}
