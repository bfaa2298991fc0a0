//! How long Redis keeps the past: what is old goes by itself, and takes nothing with it that still counts.

use std::time::Duration;

use jiff::ToSpan;
use moongate::ledger::redis::Settings;
use moongate::ledger::{Outcome, Retention, Verdict};
use moongate::team::LimitKind;

use super::{handle, patient};
use crate::ledger_conformance::desk::{PRICE, call, limit, settlement};
use crate::support::redis::{RedisServer, wait_until};

#[tokio::test]
async fn the_sums_of_a_day_are_gone_after_their_retention_though_nobody_adds_to_them() {
    let server = RedisServer::start().await;
    let usage = Duration::from_secs(3);
    let ledger = handle(Settings { retention: Retention { usage, ..Retention::default() }, ..patient(&server) });
    let call = call().limits([limit(LimitKind::CreditsTotal, 10 * PRICE)]);
    let id = moongate::ledger::ReservationId::new();
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
