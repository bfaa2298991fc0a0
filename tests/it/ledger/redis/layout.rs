//! What is stored under which key, and what happens when a key holds something else.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use moongate::clock::Clock;
use moongate::ledger::redis::Settings;
use moongate::ledger::{Ledger, Outage, Outcome, ReservationId, Retention, Settled, Verdict};

use super::{handle, patient, stored};
use crate::ledger::conformance::harness::{Call, PRICE, call, credits, moment, settlement};
use crate::support::redis::{RedisServer, wait_until};
use crate::support::stored::Reached as _;

async fn admit(ledger: &Arc<dyn Ledger>, call: &Call) -> Result<ReservationId, Outage> {
    let id = ReservationId::new();
    match ledger.admit(call.admission(id)).await? {
        Verdict::Admitted { .. } => Ok(id),
        Verdict::Refused { statuses, .. } => panic!("refused: {statuses:?}"),
    }
}

#[tokio::test]
async fn a_user_limited_to_the_ledgers_keys_can_do_everything() {
    let server = RedisServer::start().await;
    let may = [
        "~mg1:*",
        "~mg2:*",
        "+@read",
        "+@write",
        "+@scripting",
        "+@connection",
        "+time",
        "+wait",
        "+info",
    ];
    server.run(&[&["ACL", "SETUSER", "moongate", "on", ">pass"][..], &may].concat()).await;
    let ledger = handle(patient(&server).by_user("moongate", "pass"));
    let id = admit(&ledger, &call()).await.unwrap();
    ledger.settle(&call().team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
    assert_eq!(ledger.rows(&call().team, 0, 1).await.unwrap().rows.len(), 1);
    server.run(&["ACL", "SETUSER", "moongate", "-lpush", "-lpushx"]).await;
    let id = admit(&ledger, &call()).await.unwrap();
    let outage =
        ledger.settle(&call().team, settlement(id, Outcome::Charged, PRICE)).await.unwrap_err();
    assert!(matches!(outage, Outage::Refused(_)), "{outage:?}");
    server.run(&["ACL", "SETUSER", "moongate", "+lpush", "+lpushx"]).await;
    let settled =
        ledger.settle(&call().team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
    assert_eq!(settled, Settled::Now(credits(PRICE)));
    assert_eq!(ledger.rows(&call().team, 0, 10).await.unwrap().rows.len(), 2);
}

#[tokio::test]
async fn old_rows_are_dropped_and_old_windows_too() {
    let server = RedisServer::start().await;
    let ledger = handle(Settings {
        retention: Retention { rows: Duration::from_millis(500), ..Retention::default() },
        ..patient(&server)
    });
    let pay = async || {
        let id = admit(&ledger, &call()).await.unwrap();
        ledger.settle(&call().team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
    };
    for _ in 0..200 {
        pay().await;
    }
    wait_until("old rows are dropped", || async {
        pay().await;
        ledger.sweep(&call().team).await.unwrap();
        ledger.rows(&call().team, 0, 1_000).await.unwrap().rows.len() < 100
    })
    .await;
    wait_until("a list nobody adds to is gone", || async {
        server.ask::<i64>(&["EXISTS", &stored::key("design", "rows")]).await.unwrap() == 0
    })
    .await;
    let clock = Clock::moved("2026-01-01T10:00:00Z".parse().unwrap());
    let ledger = handle(patient(&server).told_by(&clock));
    let call = call().team("old");
    for day in 0..100 {
        clock.set(
            "2026-01-01T10:00:00Z".parse::<jiff::Timestamp>().unwrap()
                + Duration::from_secs(day * 24 * 3600),
        );
        let id = admit(&ledger, &call).await.unwrap();
        ledger.settle(&call.team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
    }
    let windows = stored::windows(&server, "old").await;
    assert_eq!(
        windows,
        [
            "d:2026-04-08",
            "d:2026-04-09",
            "d:2026-04-10",
            "m:2026-02",
            "m:2026-03",
            "m:2026-04",
            "t"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_across_midnight_is_counted_in_its_rows_days() {
    let server = RedisServer::start().await;
    let clock = Clock::moved(moment("2026-11-30T23:59:59.999999Z"));
    let settings = patient(&server).told_by(&clock);
    let handles = [handle(settings.clone()), handle(settings)];
    let calls = ["ana", "bo", "cy"].map(|name| call().user(name, []));
    let admit = async |number: usize| {
        let (id, call) = (ReservationId::new(), &calls[number % 3]);
        handles[number % 2].admit(call.admission(id)).await.unwrap();
        (number, id)
    };
    let settle = async |(number, id): (usize, ReservationId)| {
        let outcome = Outcome::ALL[number % 4];
        let charged = PRICE - u64::try_from(number).unwrap();
        handles[number / 2 % 2]
            .settle(&calls[0].team, settlement(id, outcome, charged))
            .await
            .unwrap();
    };
    let before = join_all((0..150).map(&admit)).await;
    clock.set(moment("2026-12-01T00:00:00Z"));
    let (after, _) =
        tokio::join!(join_all((150..300).map(&admit)), join_all(before.into_iter().map(&settle)));
    join_all(after.into_iter().map(&settle)).await;
    let rows = handles[0].rows(&calls[0].team, 0, 1_000).await.unwrap().rows;
    assert_eq!(rows.len(), 300);
    for (scope, user) in [("team", ""), ("user:ana", "ana"), ("user:bo", "bo"), ("user:cy", "cy")] {
        for window in ["d:2026-11-30", "d:2026-12-01", "m:2026-11", "m:2026-12", "t"] {
            let counted = rows.iter().filter(|row| {
                let named = format!("d:{}", row.day) == window
                    || format!("m:{}", row.month) == window
                    || window == "t";
                named
                    && (user.is_empty() || row.summary.user == user)
                    && row.outcome != Outcome::Released
            });
            let (calls, credits) =
                counted.fold((0, 0), |sum, row| (sum.0 + 1, sum.1 + row.charged.micros()));
            let counts = stored::window(&server, "design", scope, window).await;
            assert_eq!(counts, Some([calls, 0, credits, 0]), "{scope} {window}");
        }
    }
}
