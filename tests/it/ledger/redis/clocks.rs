//! Tests which time a process uses, and for how long it trusts its cached records.

use std::sync::Arc;
use std::time::Duration;

use moongate::clock::Clock;
use moongate::ledger::redis::RedisLedger;
use moongate::ledger::{Ledger, ReservationId, Unobserved, Verdict};
use moongate::team::LimitKind;

use super::patient;
use crate::ledger::conformance::harness::{Call, call, limit};
use crate::support::redis::RedisServer;

fn process(server: &RedisServer, clock: &Clock) -> Arc<dyn Ledger> {
    Arc::new(RedisLedger::new(patient(server), clock.clone(), Arc::new(Unobserved)).unwrap())
}

async fn is_admitted(ledger: &Arc<dyn Ledger>, call: &Call) -> bool {
    matches!(
        ledger.admit(call.admission(ReservationId::new())).await.unwrap(),
        Verdict::Admitted { .. }
    )
}

#[tokio::test]
async fn a_process_whose_clock_jumps_counts_by_the_stores_day() {
    let server = RedisServer::start().await;
    let now = jiff::Timestamp::now();
    let clock = Clock::moved(now);
    let ledger = process(&server, &clock);
    let call = call()
        .limits([limit(LimitKind::RequestsPerDay, 6), limit(LimitKind::RequestsPerMinute, 1_000)]);
    // Right, a day ahead, a week behind, an hour ahead, far in the future, right again.
    let hour = Duration::from_secs(3_600);
    let jumps = [now, now + 24 * hour, now - 168 * hour, now + hour, now + 90_000 * hour, now];
    for to in jumps {
        clock.set(to);
        assert!(is_admitted(&ledger, &call).await, "{to}");
    }
    assert!(!is_admitted(&ledger, &call).await, "six pass, whatever time the process assumed");
    let open = ledger.open_calls(&call.team).await.unwrap();
    let off = |at: jiff::Timestamp| at.duration_since(now).abs();
    assert!(
        open.len() == 6
            && open.iter().all(|call| off(call.admitted_at) < jiff::SignedDuration::from_secs(60))
    );
}

#[tokio::test]
async fn a_process_away_for_an_hour_is_corrected_at_once() {
    let server = RedisServer::start().await;
    let clocks = [Clock::moved(jiff::Timestamp::now()), Clock::system()];
    let [away, busy] = clocks.each_ref().map(|clock| process(&server, clock));
    let call =
        call().limits([limit(LimitKind::RequestsPerDay, 4), limit(LimitKind::Concurrent, 4)]);
    assert!(is_admitted(&away, &call).await);
    for _ in 0..3 {
        assert!(is_admitted(&busy, &call).await);
    }
    // What it knew is an hour old: one call open of four.
    clocks[0].set(jiff::Timestamp::now() + Duration::from_secs(3_600));
    assert!(!is_admitted(&away, &call).await);
}
