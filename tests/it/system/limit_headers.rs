//! The rate-limit headers are on every answer to a known caller, agree with what its next call
//! meets, and cause no reads of the store.

use http::Method;
use serde_json::json;

use crate::support::caller::{Call, Reply, generate};
use crate::support::firemoon::{Firemoon, PROMPT, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::RedisServer;

/// The limit that is named, and how many calls it still lets through.
fn tightest_limit(reply: &Reply) -> Option<(String, i64)> {
    let name = reply.header("ratelimit")?.split('"').nth(1).unwrap().to_owned();
    Some((name, reply.number("x-ratelimit-remaining")))
}

#[tokio::test]
async fn every_known_callers_answer_states_its_limits() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/teams/design/limits", json!({ "requests_per_day": 100, "credits_per_day": 0.03 }))
        .set("/catalogue", json!({ "public": false }));
    let gateway = Gateway::serve(&installation).await;
    let (key, token) = (installation.key("design"), installation.token("ann"));
    let paid = picture().with(key).header("idempotency-key", "once");
    assert_eq!(gateway.send(&paid).await.status, 200);
    let body = json!({ "prompt": PROMPT });
    let calls = [
        (200, paid),
        (400, generate("flux/dev", &json!([])).with(key)),
        (400, picture().with(key).header("idempotency-key", "")),
        (400, Call::get("/api/usage?period=never").with(key)),
        (402, picture().with(key)),
        (403, generate("flux/pro", &body).with(key)),
        (404, generate("flux/none", &body).with(key)),
        (404, Call::get("/gateway/v1/requests/none").with(key)),
        (404, Call::get("/nowhere").with(key)),
        (404, Call::post("/api/v1/-").with(&token)),
        (405, Call::get("/api/v1/flux/dev").with(key)),
        (405, Call::new(Method::DELETE, "/gateway/v1/me").with(&token)),
        (413, picture().with(key).bytes(vec![b' '; 5_000_000])),
        (415, Call::post("/api/v1/flux/dev").with(key).bytes("{}")),
        (
            422,
            generate("flux/dev", &json!({ "prompt": "another" }))
                .with(key)
                .header("idempotency-key", "once"),
        ),
        (200, Call::get("/gateway/v1/me").with(key)),
        (200, Call::new(Method::HEAD, "/gateway/v1/me").with(key)),
        (200, Call::get("/api/credits/balance").with(key)),
        (200, Call::get("/api/generations").with(key)),
        (200, Call::get("/api/usage").with(key)),
        (200, Call::post("/gateway/v1/quote/flux/dev").json(&body).with(key)),
        (200, Call::get("/api/models").with(key)),
    ];
    for (number, (status, call)) in calls.iter().enumerate() {
        let reply = gateway.send(call).await;
        assert_eq!(reply.status, *status, "call {number}: {}", reply.text());
        assert_eq!(
            tightest_limit(&reply),
            Some(("team:requests_per_day".to_owned(), 99)),
            "call {number}: {:?}",
            reply.headers
        );
    }
}

#[tokio::test]
async fn strangers_learn_nothing_of_limits_or_paths() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/teams/design/limits", json!({ "requests_per_day": 100 }));
    let gateway = Gateway::serve(&installation).await;
    let call = async |call: Call| gateway.send(&call).await;
    for wrong in ["mgk_k7Qp2mZr9aBc_no", "eyJ.eyJ.eyJ"] {
        let reply = call(Call::get("/nowhere").with(wrong)).await;
        assert_eq!(
            (reply.refusal(), tightest_limit(&reply)),
            ((404, "route_not_found".to_owned()), None)
        );
        let reply = call(Call::get("/api/v1/flux/dev").with(wrong)).await;
        assert_eq!(
            (reply.status, reply.header("allow"), tightest_limit(&reply)),
            (405, Some("POST"), None)
        );
    }
    assert_eq!(tightest_limit(&call(Call::get("/nowhere")).await), None);
    assert_eq!(tightest_limit(&call(picture()).await), None);
    // A team without limits has none to tell.
    assert_eq!(
        tightest_limit(&call(Call::get("/nowhere").with(installation.key("growth"))).await),
        None
    );
}

#[tokio::test]
async fn refusals_state_the_calls_left_without_asking_the_store() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/teams/design/limits", json!({ "requests_per_day": 9 }));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let began = std::time::Instant::now();
    for left in (0..9).rev() {
        let paid = gateway.send(&picture().with(key)).await;
        assert_eq!(tightest_limit(&paid).map(|(_, left)| left), Some(left));
        for _ in 0..20 {
            let refused = gateway.send(&Call::get("/nowhere").with(key)).await;
            assert_eq!((refused.status, tightest_limit(&refused)), (404, tightest_limit(&paid)));
        }
    }
    let readings = gateway
        .metric(r#"moongate_ledger_operations_total{op="books",result="ok"}"#)
        .await
        .unwrap();
    // Each of the two workers reads at most once a second; the gauges of three teams are read as
    // well.
    let most = 5.0 * (began.elapsed().as_secs_f64() + 1.0);
    assert!(
        (1.0..=most).contains(&readings),
        "{readings} readings for 180 refusals, {most} may be"
    );
}

#[tokio::test]
async fn the_headers_name_whichever_limit_lets_the_fewest_calls_through() {
    let firemoon = Firemoon::start();
    let mut installation = Installation::before(&firemoon)
        .set("/teams/design/limits", json!({ "requests_per_day": 1000, "credits_per_day": 100 }))
        .set(
            "/teams/design/user_limits",
            json!({ "requests_per_month": 500, "credits_per_day": 0.3 }),
        );
    let narrow = json!({ "team": "design", "name": "narrow", "user": "ann",
        "limits": { "requests_per_day": 3, "credits_per_day": 0.1 } });
    installation.add_key("narrow", narrow);
    let gateway = Gateway::serve(&installation).await;
    let narrow = installation.key("narrow");
    for (left, budget) in [(2, "0.075"), (1, "0.05"), (0, "0.025")] {
        let reply = gateway.send(&picture().with(narrow)).await;
        assert_eq!(tightest_limit(&reply), Some(("key:requests_per_day".to_owned(), left)));
        assert_eq!(reply.header("x-credits-remaining"), Some(budget));
        let me = gateway.send(&Call::get("/gateway/v1/me").with(narrow)).await;
        assert_eq!(tightest_limit(&me), tightest_limit(&reply));
        let me = me.json();
        let calls = me["limits"].as_array().unwrap().iter();
        let calls = calls.filter(|limit| limit["limit"].as_str().unwrap().contains("requests"));
        assert_eq!(calls.map(|limit| limit["remaining"].as_i64().unwrap()).min(), Some(left));
        let balance = gateway.send(&Call::get("/api/credits/balance").with(narrow)).await;
        assert_eq!(balance.json()["balance"].to_string(), budget);
    }
    assert_eq!(
        gateway.send(&picture().with(narrow)).await.refusal(),
        (429, "quota_exhausted".to_owned())
    );
    let token = gateway.send(&picture().with(&installation.token("ann"))).await;
    assert_eq!(tightest_limit(&token), Some(("user:requests_per_month".to_owned(), 496)));
    assert_eq!(token.header("x-credits-remaining"), Some("0.2"));
}

/// Sets the tightest limit on each level in turn, of two calls and of three pictures' credits,
/// beside wider ones on the others. Others have used the wider limits: a smaller share of them is
/// left, but more calls.
#[tokio::test]
async fn the_tightest_level_is_named_and_refuses() {
    let tight = json!({ "requests_per_day": 2, "credits_per_day": 0.075 });
    let wide = json!({ "requests_per_day": 5, "credits_per_day": 0.9 });
    for (level, others) in [("team", None), ("user", Some("bob")), ("key", Some("ann"))] {
        let firemoon = Firemoon::start();
        let of = |own: &str| if own == level { tight.clone() } else { wide.clone() };
        let mut installation = Installation::before(&firemoon)
            .set("/teams/design/limits", of("team"))
            .set("/teams/design/user_limits", of("user"));
        installation.add_key(
            "own",
            json!({ "team": "design", "name": "own", "user": "ann", "limits": of("key") }),
        );
        let gateway = Gateway::serve(&installation).await;
        for other in others.iter().flat_map(|name| [name; 2]) {
            assert_eq!(gateway.send(&picture().with(&installation.token(other))).await.status, 200);
        }
        let key = installation.key("own");
        let named = format!("{level}:requests_per_day");
        for (left, budget) in [(1, "0.05"), (0, "0.025")] {
            let paid = gateway.send(&picture().with(key)).await;
            let me = gateway.send(&Call::get("/gateway/v1/me").with(key)).await;
            let refused = gateway.send(&Call::get("/nowhere").with(key)).await;
            for reply in [&paid, &me, &refused] {
                assert_eq!(tightest_limit(reply), Some((named.clone(), left)), "{}", reply.text());
            }
            assert_eq!(
                (paid.status, paid.header("x-credits-remaining")),
                (200, Some(budget)),
                "{level}"
            );
            assert_eq!(listed(&me, &named), left);
            let balance = gateway.send(&Call::get("/api/credits/balance").with(key)).await.json();
            assert_eq!(balance["balance"].to_string(), budget, "{level}");
        }
        let refused = gateway.send(&picture().with(key)).await;
        assert_eq!(
            (refused.refusal().1.as_str(), tightest_limit(&refused)),
            ("quota_exhausted", Some((named.clone(), 0)))
        );
        assert!(
            refused.json()["errors"][0].as_str().unwrap().starts_with(&named),
            "{}",
            refused.text()
        );
    }
}

/// How many calls a limit still lets through, as `/gateway/v1/me` lists it.
fn listed(me: &Reply, limit: &str) -> i64 {
    let me = me.json();
    let found = me["limits"].as_array().unwrap().iter().find(|one| one["limit"] == limit);
    found.unwrap()["remaining"].as_i64().unwrap()
}
