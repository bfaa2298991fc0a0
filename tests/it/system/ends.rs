//! Every end of a call, over the wire, on both stores: what it costs in credits and in requests, on
//! every level, and what its row says. The table is that of `src/admission/settle.rs`.

use serde_json::{Value, json};

use super::spending::limit_status;
use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{OPS, moongate, with_operators};
use crate::support::redis::{RedisServer, wait_until};

/// What a picture is reserved at.
const PRICE: u64 = 25_000;

/// A store, with what is behind it.
enum Store {
    File,
    Redis(RedisServer),
}

impl Store {
    async fn both() -> [Self; 2] {
        [Self::File, Self::Redis(RedisServer::start().await)]
    }

    /// An installation with limits of every kind on every level.
    fn before(&self, firemoon: &Firemoon) -> Installation {
        let installation = match self {
            Self::File => Installation::before(firemoon),
            Self::Redis(redis) => Installation::on(redis, firemoon),
        };
        let mut installation = installation
            .set("/teams/design/limits", limits())
            .set("/teams/design/user_limits", limits());
        // Redis is shared by the installations of one test: what is counted is that of this key and
        // its user.
        installation.add_key("own", json!({ "team": "design", "name": "own", "limits": limits() }));
        installation
    }
}

/// A bucket that gives a token back in three minutes: while a test runs, its level is the number of
/// calls.
fn limits() -> Value {
    json!({
        "requests_per_hour": { "limit": 20, "burst": 1000 },
        "requests_per_day": 1000,
        "requests_per_month": 1000,
        "credits_per_day": 100,
        "credits_total": 100,
        "concurrent": 100,
    })
}

/// Sums over the calls so far.
#[derive(Default)]
struct Count {
    tokens: u64,
    requests: u64,
    micros: u64,
}

impl Count {
    /// One more call with this outcome, which counts and costs as the table says.
    fn add(&mut self, outcome: &str) {
        let (requests, micros) = match outcome {
            "released" => (0, 0),
            "refused" => (1, 0),
            "charged" | "unknown" => (1, PRICE),
            other => panic!("{other}"),
        };
        self.tokens += 1;
        self.requests += requests;
        self.micros += micros;
    }

    /// The limits of the key's level say so, which nobody else uses; and the newest row has this
    /// outcome.
    async fn holds(&self, gateway: &Gateway, key: &str, outcome: &str, why: &Value) {
        let credits = moongate::credits::Credits::from_micros(self.micros).to_string();
        for level in ["key", "user", "team"] {
            for (limit, used) in [
                ("requests_per_hour", self.tokens.to_string()),
                ("requests_per_day", self.requests.to_string()),
                ("requests_per_month", self.requests.to_string()),
                ("credits_per_day", credits.clone()),
                ("credits_total", credits.clone()),
                ("concurrent", "0".to_owned()),
            ] {
                let status = limit_status(gateway, key, &format!("{level}:{limit}")).await;
                let counts = (status["used"].to_string(), status["reserved"].to_string());
                assert_eq!(counts, (used, "0".to_owned()), "{why}: {status}");
            }
        }
        let newest = gateway.send(&Call::get("/api/generations?limit=1").with(key)).await.json();
        assert_eq!(newest["generations"][0]["outcome"], outcome, "{why}: {newest}");
    }
}

#[tokio::test]
async fn every_sent_call_is_a_request_whatever_the_answer() {
    for store in Store::both().await {
        let firemoon = Firemoon::start();
        let installation = store.before(&firemoon);
        let gateway = Gateway::serve(&installation).await;
        let (key, mut count) = (installation.key("own"), Count::default());
        let answer = |status: u16| {
            json!({
                "fault": "answer",
                "amount": status,
                "text": "{\"error\":\"no\",\"message\":\"no\"}",
            })
        };
        let ends = [
            (answer(400), "refused"),
            (answer(404), "refused"),
            (answer(415), "refused"),
            (answer(422), "refused"),
            (json!({ "fault": "access_denied" }), "refused"),
            (json!({ "fault": "html_not_found" }), "refused"),
            (json!({ "fault": "payload_too_large" }), "refused"),
            (json!({ "fault": "redirect", "amount": 307, "text": "/api/v1/flux/dev" }), "refused"),
            (json!({ "fault": "redirect", "amount": 302, "text": "/api/v1/flux/dev" }), "unknown"),
            (json!({ "fault": "bad_gateway" }), "unknown"),
            (json!({ "fault": "generation_failed" }), "unknown"),
            (json!({ "fault": "reset_before_answer" }), "unknown"),
            (json!({ "fault": "cut_body" }), "unknown"),
            (json!({ "fault": "close_after_answer" }), "charged"),
        ];
        for (sent, (fault, outcome)) in (1..).zip(ends) {
            firemoon.faults(&json!([fault])).await;
            let reply = gateway.send(&picture().with(key)).await;
            count.add(outcome);
            count.holds(&gateway, key, outcome, &fault).await;
            assert_eq!(firemoon.requests().await, sent, "{fault}: sent once");
            let cost = if outcome == "refused" { "0" } else { "0.025" };
            assert_eq!(reply.header("x-credits-cost"), Some(cost), "{fault}");
        }
        let usage = gateway.send(&Call::get("/api/usage?period=month").with(key)).await.json();
        let totals = &usage["totals"];
        assert_eq!(
            (&totals["requests"], &totals["refused"], &totals["unknown"]),
            (&json!(14), &json!(8), &json!(5))
        );
    }
}

#[tokio::test]
async fn a_call_turned_back_was_sent_the_next_is_not() {
    for fault in ["invalid_key", "suspended", "insufficient_credits", "rate_limited"] {
        for store in Store::both().await {
            let firemoon = Firemoon::start();
            let installation = store.before(&firemoon);
            let gateway = Gateway::serve(&installation).await;
            let (key, mut count) = (installation.key("own"), Count::default());
            firemoon.faults(&json!([{ "fault": fault, "times": 1 }])).await;
            // The key rests from then on: the second call is refused the same way, and not sent.
            for outcome in ["refused", "released"] {
                assert!(gateway.send(&picture().with(key)).await.status >= 429, "{fault}");
                count.add(outcome);
                count.holds(&gateway, key, outcome, &json!(fault)).await;
            }
            assert_eq!(firemoon.requests().await, 1, "{fault}");
        }
    }
}

#[tokio::test]
async fn a_call_turned_back_and_resent_is_one_request() {
    for store in Store::both().await {
        let firemoon = Firemoon::start_with(&["--key", "second=fm_live_second_0c51"]);
        let mut installation = store.before(&firemoon);
        std::fs::write(installation.folder().join("second-key"), "fm_live_second_0c51").unwrap();
        let keys = json!([
            { "name": "primary", "secret": { "file": "shared-key" } },
            { "name": "second", "secret": { "file": "second-key" } },
        ]);
        installation.change("/upstream/keys", keys);
        let gateway = Gateway::serve(&installation).await;
        let (key, mut count) = (installation.key("own"), Count::default());
        firemoon.faults(&json!([{ "fault": "invalid_key", "key": "shared" }])).await;
        assert_eq!(gateway.send(&picture().with(key)).await.status, 200);
        count.add("charged");
        count.holds(&gateway, key, "charged", &json!("401, then 200")).await;
        assert_eq!(firemoon.requests().await, 2);
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    for store in Store::both().await {
        let mut firemoon = Firemoon::start();
        let installation = store.before(&firemoon);
        let gateway = Gateway::serve(&installation).await;
        let (key, mut count) = (installation.key("own"), Count::default());
        assert_eq!(gateway.send(&picture().with(key)).await.status, 200);
        count.add("charged");
        firemoon.kill();
        // First over the kept connection, which is closed, then without one.
        for _ in 0..2 {
            assert_eq!(
                gateway.send(&picture().with(key)).await.refusal(),
                (502, "upstream_unreachable".to_owned())
            );
            count.add("released");
            count.holds(&gateway, key, "released", &json!("no connection")).await;
        }
    }
}

/// Makes the upstream refuse the next call, and report the shared key's window full for half an
/// hour.
async fn fill(firemoon: &Firemoon) {
    firemoon.faults(&json!([{ "fault": "rate_limited", "amount": 1800, "times": 1 }])).await;
}

#[tokio::test]
async fn a_call_sent_once_counts_though_the_queue_ends_it() {
    for store in Store::both().await {
        let firemoon = Firemoon::start();
        let installation =
            store.before(&firemoon).set("/upstream/limits", json!({ "requests_per_month": 100 }));
        let gateway = Gateway::serve(&installation).await;
        let (key, mut count) = (installation.key("own"), Count::default());
        fill(&firemoon).await;
        for outcome in ["refused", "released"] {
            let refusal = gateway.send(&picture().with(key)).await.refusal();
            assert_eq!(refusal, (429, "shared_rate_limited".to_owned()));
            count.add(outcome);
            count.holds(&gateway, key, outcome, &json!("the wait is too long")).await;
        }
        assert_eq!(firemoon.requests().await, 1);
    }
}

#[tokio::test]
async fn leaving_the_queue_after_being_sent_counts_as_a_request() {
    for store in Store::both().await {
        let firemoon = Firemoon::start();
        let installation = store
            .before(&firemoon)
            .set("/upstream/limits", json!({ "requests_per_month": 100 }))
            .set("/queue", json!({ "max_wait": "1h" }));
        let gateway = Gateway::serve(&installation).await;
        let (key, mut count) = (installation.key("own"), Count::default());
        let depth = r#"moongate_team_queue_depth{team="design"}"#;
        fill(&firemoon).await;
        for outcome in ["refused", "released"] {
            let (call, mut connection) =
                (picture().with(key), Connection::open(gateway.team()).await);
            let call = tokio::spawn(async move { connection.exchange(&call).await.is_ok() });
            wait_until("it waits", || async { gateway.metric(depth).await == Some(1.0) }).await;
            wait_until("whatever was sent was answered", || async {
                firemoon.requests().await == 1
                    && limit_status(&gateway, key, "key:concurrent").await["reserved"] == json!(1)
            })
            .await;
            call.abort();
            wait_until("it has left", || async {
                limit_status(&gateway, key, "key:concurrent").await["reserved"] == json!(0)
            })
            .await;
            count.add(outcome);
            count.holds(&gateway, key, outcome, &json!("its caller left")).await;
            let newest =
                gateway.send(&Call::get("/api/generations?limit=1").with(key)).await.json();
            let id = newest["generations"][0]["id"].as_str().unwrap();
            let reply = gateway
                .send(&Call::get(&format!("/gateway/v1/requests/{id}")).with(key))
                .await
                .json();
            let why = if outcome == "refused" {
                "The call was sent and turned back"
            } else {
                "The call was never sent"
            };
            assert!(
                reply["message"].as_str().unwrap().starts_with(why),
                "the gateway is alive: {reply}"
            );
        }
    }
}

/// The rest of the account stays for the others.
#[tokio::test]
async fn a_refused_teams_calls_use_up_only_its_own_limit() {
    let firemoon = Firemoon::start();
    let installation = with_operators(Installation::before(&firemoon))
        .set("/teams/design/limits", json!({ "requests_per_day": 5 }))
        .set("/upstream/limits", json!({ "requests_per_day": 10 }));
    std::fs::write(installation.folder().join("ops-token"), OPS).unwrap();
    let gateway = Gateway::serve(&installation).await;
    let call = Call::post("/api/v1/flux/dev").with(installation.key("design"));
    let call = call.json(&json!({ "prompt": "x", "guidance_scale": 99 }));
    for _ in 0..5 {
        assert_eq!(gateway.send(&call).await.status, 400);
    }
    for _ in 0..3 {
        assert_eq!(gateway.send(&call).await.refusal(), (429, "quota_exhausted".to_owned()));
    }
    assert_eq!(firemoon.requests().await, 5);
    assert_eq!(gateway.send(&picture().with(installation.key("growth"))).await.status, 200);
    let (code, report, complaint) = moongate(&gateway, &installation, &["usage", "--json"]);
    assert_eq!((code, complaint.as_str()), (0, ""));
    let totals = serde_json::from_str::<Value>(&report).unwrap()["totals"].clone();
    assert_eq!(
        (&totals["requests"], &totals["failed"], &totals["refused"]),
        (&json!(6), &json!(5), &json!(5))
    );
    let (_, table, _) =
        moongate(&gateway, &installation, &["usage", "--calls", "--team", "design"]);
    assert_eq!(table.matches(" refused ").count(), 5, "{table}");
}
