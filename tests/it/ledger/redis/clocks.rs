//! Tests which time a process uses, and for how long it trusts its cached records.

use std::sync::Arc;
use std::time::Duration;

use moongate::clock::Clock;
use moongate::ledger::redis::{RedisLedger, Settings};
use moongate::ledger::{Ledger, ReservationId, Unobserved, Verdict};
use moongate::store::Topology;
use moongate::team::LimitKind;

use super::{BRIEF, handle_with_clock, patient, stored};
use crate::ledger::conformance::harness::{Call, call, limit};
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisServer, wait_until};
use crate::support::stored::Reached as _;

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

/// The answer is lost, so the process does not learn the time and does not renew once more.
#[tokio::test]
async fn a_process_whose_clock_is_wrong_moves_no_deadline() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    let settings = Settings::new(Topology::Single { url }).within(BRIEF);
    let now = jiff::Timestamp::now();
    let clock = Clock::moved(now);
    let (ledger, call, id) =
        (handle_with_clock(settings, clock.clone()), call(), ReservationId::new());
    ledger.admit(call.admission(id)).await.unwrap();
    let (due, name) = (stored::key(call.team.as_str(), "due"), id.to_string());
    let deadline = async || server.ask::<f64>(&["ZSCORE", &due, &name]).await.unwrap();
    let hour = Duration::from_secs(3_600);
    for to in [now + hour, now - hour] {
        let before = deadline().await;
        clock.set(to);
        proxy.set_once_sent(&name, Fault::CutBeforeAnswer);
        ledger.renew(&call.team, &[id]).await.unwrap_err();
        proxy.set(Fault::None);
        assert_eq!(deadline().await, before, "{to}");
        let renewed = || async { ledger.renew(&call.team, &[id]).await.is_ok() };
        wait_until("it is renewed", renewed).await;
        assert!(deadline().await > before);
    }
}
