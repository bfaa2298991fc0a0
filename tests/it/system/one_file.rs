//! A gateway whose ledger is a file: alone on it, killed again and again under load, with nothing
//! lost, and with gateway keys that are made while it runs.

use std::process::{Command, Stdio};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use moongate::clock::Clock;
use moongate::credits::Credits;
use moongate::ledger::embedded::{EmbeddedLedger, Settings};
use moongate::ledger::{Ledger, OnUnknown, Outcome, Retention, Row, Unobserved};
use moongate::team::TeamId;
use serde_json::json;
use tokio::task::JoinSet;

use super::spending::spent;
use crate::ledger::conformance::TTL;
use crate::support::caller::Connection;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{change, judged, make_key, see, with_operators};
use crate::support::redis::wait_until;

const LIVES: u64 = 4;
/// How many calls are made in each of them.
const CALLS: u64 = 60;
const CALLERS: usize = 8;
const BUDGET: &str = "team:credits_total";

/// The first goes on.
#[tokio::test]
async fn a_second_gateway_on_the_file_is_refused() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let second = Command::new(env!("CARGO_BIN_EXE_moongate"))
        .args(["serve", "--config"])
        .arg(installation.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{err}");
    assert!(err.contains("ledger.db") && err.contains("in use by another process"), "{err}");
    assert_eq!(gateway.send(&picture().with(installation.key("design"))).await.status, 200);
}

#[tokio::test]
async fn a_rotated_file_key_keeps_its_promises_across_restarts() {
    let firemoon = Firemoon::start();
    let installation = with_operators(Installation::before(&firemoon));
    let mut gateway = Gateway::serve(&installation).await;
    let (first, id) = make_key(&gateway, json!({ "team": "design", "name": "ci" })).await;
    let rotate = async |gateway: &Gateway, overlap: u64| {
        let rotated = change(
            gateway,
            &format!("/admin/v1/keys/{id}/rotate"),
            json!({ "overlap_seconds": overlap }),
        )
        .await;
        rotated["secret"].as_str().unwrap().to_owned()
    };
    let (second, third) = (rotate(&gateway, 3600).await, rotate(&gateway, 7200).await);
    for life in 1..=2 {
        for good in [&first, &second, &third] {
            gateway.forbid(good.rsplit('_').next().unwrap());
            assert_eq!(judged(&gateway, good).await, "200", "in life {life}");
        }
        let secrets = see(&gateway, &format!("/admin/v1/keys/{id}")).await["secrets"].clone();
        assert_eq!(
            [0, 1, 2].map(|place: usize| &secrets[place]["state"]),
            ["current", "overlap", "overlap"]
        );
        let ends = |place: usize| {
            secrets[place]["ends_at"].as_str().unwrap().parse::<Timestamp>().unwrap()
        };
        assert!(
            ends(2) + SignedDuration::from_secs(3000) < ends(1),
            "an hour and two hours: {secrets}"
        );
        if life == 1 {
            assert_eq!(gateway.stop().await.code(), Some(0));
            gateway = Gateway::serve(&installation).await;
        }
    }
    let last = rotate(&gateway, 2).await;
    gateway.forbid(last.rsplit('_').next().unwrap());
    wait_until("the shortest overlap is over", || async {
        judged(&gateway, &third).await == "credential_expired"
    })
    .await;
    for good in [&first, &second, &last] {
        assert_eq!(judged(&gateway, good).await, "200", "the longer ones are not");
    }
}

/// Every call is there once, and nothing was free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_again_and_again_it_loses_no_call() {
    let firemoon = Firemoon::start_with(&["--latency", "20ms"]);
    let installation = Installation::before(&firemoon)
        .set("/ledger/reservation_ttl", json!("2s"))
        .set("/teams/design/limits", json!({ "credits_total": 100, "concurrent": CALLERS }))
        .set("/teams/design/user_limits", json!({ "credits_per_month": 100 }));
    let (key, mut answered) = (installation.key("design"), Vec::new());
    for life in 1..=LIVES {
        let mut gateway = Gateway::serve(&installation).await;
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (address, call) = (gateway.team().to_owned(), picture().with(key));
            callers.spawn(async move {
                let (mut connection, mut answered) = (Connection::open(&address).await, Vec::new());
                for count in 0.. {
                    let id = format!("life-{life}-caller-{caller}-{count}");
                    let Ok(reply) =
                        connection.exchange(&call.clone().header("x-request-id", &id)).await
                    else {
                        break;
                    };
                    // The slots of those before it are free when their time is over.
                    assert!(
                        reply.status == 200 || reply.refusal().1 == "too_many_concurrent",
                        "{}",
                        reply.text()
                    );
                    answered.extend((reply.status == 200).then_some(id));
                }
                answered
            });
        }
        wait_until("calls are made", || async { firemoon.executed().await >= life * CALLS }).await;
        gateway.kill();
        answered.extend(callers.join_all().await.into_iter().flatten());
    }
    let gateway = Gateway::serve(&installation).await;
    wait_until("nothing is held any more", || async {
        spent(&gateway, key, BUDGET).await.1 == "0"
    })
    .await;
    let used: Credits = spent(&gateway, key, BUDGET).await.0.parse().unwrap();
    assert_eq!(gateway.stop().await.code(), Some(0));

    let settings = Settings {
        path: installation.folder().join("ledger.db"),
        reservation_ttl: TTL,
        retention: Retention::default(),
        on_unknown: OnUnknown::Charge,
        clock: Clock::system(),
    };
    let ledger = EmbeddedLedger::open(settings, Arc::new(Unobserved)).unwrap();
    let rows = ledger.rows(&TeamId::parse("design").unwrap(), 0, 10_000).await.unwrap().rows;
    assert_eq!(used, rows.iter().map(|row| row.charged).sum());
    let of = |id: &str| -> Vec<&Row> {
        rows.iter().filter(|row| row.summary.request_id == id).collect()
    };
    for (id, seen) in firemoon.sums().await["request_ids"].as_object().unwrap() {
        let its = of(id);
        assert!(
            seen["executed"] == 1 && its.len() == 1 && its[0].charged == its[0].reserved,
            "{id}: {its:?}"
        );
    }
    for id in answered {
        let its = of(&id);
        assert!(its.len() == 1 && its[0].outcome == Outcome::Charged, "{id} was answered: {its:?}");
    }
}
