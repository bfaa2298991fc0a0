//! How long Redis keeps the past: old records expire, and take nothing with them that still counts.

use std::sync::Arc;
use std::time::Duration;

use jiff::ToSpan;
use moongate::clock::Clock;
use moongate::ledger::redis::Settings;
use moongate::ledger::{Ledger, Outcome, ReservationId, Retention, TopUp, TopUpId, Verdict};
use moongate::team::LimitKind;

use super::{handle, patient, stored};
use crate::ledger::conformance::harness::{
    Call, MORNING, PRICE, call, credits, key, limit, moment, settlement, user,
};
use crate::support::redis::{RedisServer, wait_until};
use crate::support::stored::Reached as _;

const DAY: i64 = 86_400;

/// A store at a time of its own, and how long its keys live.
pub(super) struct Kept {
    pub(super) server: RedisServer,
    clock: Clock,
    pub(super) ledger: Arc<dyn Ledger>,
}

impl Kept {
    pub(super) async fn start() -> Self {
        let (server, clock) = (RedisServer::start().await, Clock::moved(moment(MORNING)));
        let ledger = handle(patient(&server).told_by(&clock));
        Self { server, clock, ledger }
    }

    pub(super) async fn admit(&self, call: &Call) -> ReservationId {
        let id = ReservationId::new();
        assert!(matches!(
            self.ledger.admit(call.admission(id)).await.unwrap(),
            Verdict::Admitted { .. }
        ));
        id
    }

    pub(super) async fn pay(&self, call: &Call) {
        let id = self.admit(call).await;
        self.ledger.settle(&call.team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
    }

    /// The days that a scope of the team is still kept; -1: for ever, -2: it is not.
    async fn days(&self, scope: &str) -> i64 {
        in_days(stored::is_kept_for(&self.server, "design", scope, self.clock.now()).await)
    }

    /// The days that the team's own keys still live, each; -1: for ever.
    async fn days_of_the_team(&self) -> Vec<i64> {
        let mut days = Vec::new();
        for own in stored::AS_LONG_AS_THE_TEAM {
            days.push(in_days(
                self.server.ask(&["TTL", &stored::key("design", own)]).await.unwrap(),
            ));
        }
        days
    }
}

const fn in_days(seconds: i64) -> i64 {
    if seconds < 0 { seconds } else { seconds / DAY }
}

#[tokio::test]
async fn a_users_counts_last_until_their_month_ends_everywhere() {
    let kept = Kept::start().await;
    let call = call().level(key("k7Qp2mZr9aBc"), []);
    let running = kept.admit(&call).await;
    for scope in ["user:ana", "key:k7Qp2mZr9aBc"] {
        // Today is the 22nd of November.
        let days = kept.days(scope).await;
        assert!((8 + 2..8 + 10).contains(&days), "{scope}: {days}");
    }
    kept.ledger.settle(&call.team, settlement(running, Outcome::Charged, PRICE)).await.unwrap();
    assert!(kept.days("user:ana").await < 20, "a settlement knows no month, and changes nothing");
    kept.clock.set(moment("2026-12-01T00:00:00Z"));
    kept.pay(&call).await;
    assert!((31 + 2..31 + 10).contains(&kept.days("user:ana").await), "another month has begun");
    let refused = call.user("bo", [limit(LimitKind::CreditsTotal, 0)]);
    let verdict = kept.ledger.admit(refused.admission(ReservationId::new())).await.unwrap();
    assert!(matches!(verdict, Verdict::Refused { .. }));
    assert_eq!(kept.days("user:bo").await, -2, "a refusal leaves no key");
}

#[tokio::test]
async fn totals_are_kept_while_a_budget_needs_them() {
    let kept = Kept::start().await;
    let prepaid = call().user("ana", [limit(LimitKind::CreditsTotal, 10 * PRICE)]);
    kept.pay(&call()).await;
    assert!(kept.days("user:ana").await > 0);
    kept.pay(&prepaid).await;
    assert_eq!(
        (kept.days("user:ana").await, kept.days_of_the_team().await[0]),
        (-1, -1),
        "it is in the team's state"
    );
    kept.pay(&prepaid).await;
    assert_eq!(kept.days("user:ana").await, -1);
    kept.pay(&call()).await;
    assert!(kept.days("user:ana").await > 0, "nobody asks any more");
    let team = call().limits([limit(LimitKind::CreditsTotal, 100 * PRICE)]);
    kept.pay(&team).await;
    let days = kept.days_of_the_team().await;
    assert!(days.iter().all(|days| *days == -1), "{days:?}");
    kept.pay(&call()).await;
    let days = kept.days_of_the_team().await;
    assert!(days.iter().all(|days| *days > 399), "all are kept as long as the team: {days:?}");
    let top_up =
        TopUp { id: TopUpId::parse("a").unwrap(), scope: user("ana"), credits: credits(PRICE) };
    kept.ledger.top_up(&call().team, top_up).await.unwrap();
    kept.pay(&call()).await;
    assert_eq!(kept.days("user:ana").await, -1, "what was topped up is never forgotten");
}

#[tokio::test]
async fn a_bucket_is_kept_until_it_is_full_again() {
    let kept = Kept::start().await;
    let hourly = moongate::team::Limit { burst: 2_000, ..limit(LimitKind::RequestsPerHour, 1) };
    let call = call().user("ana", [hourly]);
    for _ in 0..1_200 {
        kept.admit(&call).await;
    }
    assert!(kept.days("user:ana").await >= 50, "1200 hours");
}

#[tokio::test]
async fn a_swept_team_lives_on_without_growing_for_ever() {
    let kept = Kept::start().await;
    let there = async || stored::scopes(&kept.server, "design").await;
    for month in ["2026-12-05", "2027-01-05", "2027-02-05", "2027-03-05", "2027-04-05"] {
        kept.clock.set(moment(&format!("{month}T10:00:00Z")));
        for number in 0..40 {
            kept.pay(&call().user(&format!("pull-request-{month}-{number}"), [])).await;
        }
        kept.ledger.sweep(&call().team).await.unwrap();
    }
    assert!(there().await < 120, "those of the last two months and a few: {}", there().await);
    for own in stored::AS_LONG_AS_THE_TEAM {
        kept.server.run(&["EXPIRE", &stored::key("design", own), "1000"]).await;
    }
    kept.clock.set(moment("2027-04-07T10:00:00Z"));
    kept.ledger.sweep(&call().team).await.unwrap();
    let days = kept.days_of_the_team().await;
    assert!(days.iter().all(|days| *days > 399), "{days:?}");
}

#[tokio::test]
async fn a_days_sums_expire_without_being_touched() {
    let server = RedisServer::start().await;
    let usage = Duration::from_secs(3);
    let ledger = handle(Settings {
        retention: Retention { usage, ..Retention::default() },
        ..patient(&server)
    });
    let call = call().limits([limit(LimitKind::CreditsTotal, 10 * PRICE)]);
    let id = ReservationId::new();
    assert!(matches!(ledger.admit(call.admission(id)).await.unwrap(), Verdict::Admitted { .. }));
    ledger.settle(&call.team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
    let keys = async || {
        server.ask::<Vec<String>>(&["KEYS", &stored::key("design", "usage:*")]).await.unwrap()
    };
    let mut left = 0;
    for key in keys().await {
        left = server.ask(&["PTTL", &key]).await.unwrap();
    }
    assert!(left <= 3_000, "{left}");
    wait_until("they are gone", || async { keys().await.is_empty() }).await;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let usage = ledger
        .usage(&call.team, today.saturating_sub(1.day())..=today.saturating_add(1.day()))
        .await
        .unwrap();
    assert_eq!(usage, []);
    let levels = call.levels.clone();
    let query = moongate::ledger::SnapshotQuery {
        team: call.team,
        levels,
        time_zone: call.zone,
        reader: None,
    };
    assert_eq!(
        ledger.snapshot(query).await.unwrap().statuses[0].used,
        PRICE,
        "the budget still counts what was spent"
    );
}
