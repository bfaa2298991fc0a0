//! A team's own views: its generations, its usage, quotes; never another team's, and rate limited.

use serde_json::{Value, json};

use super::spending::{assert_untouched, wide_limits};
use crate::support::caller::{Call, Reply, generate};
use crate::support::firemoon::{Firemoon, PROMPT, picture, pictures};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::RedisServer;

/// A view that must be given.
async fn view(gateway: &Gateway, key: &str, path: &str) -> Value {
    let reply = gateway.send(&Call::get(path).with(key)).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    reply.json()
}

async fn quote(gateway: &Gateway, key: &str, model: &str, body: &Value) -> Reply {
    gateway.send(&Call::post(&format!("/gateway/v1/quote/{model}")).json(body).with(key)).await
}

fn assert_describes_the_video(generation: &Value) {
    assert_eq!(
        (&generation["endpoint"], &generation["videoSeconds"]),
        (&json!("kling/kling-2-1-master"), &json!(5.0))
    );
    assert_eq!((&generation["httpStatus"], &generation["images"]), (&json!(200), &json!(0)));
    let time = |name| generation[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let times = ["createdAt", "sentAt", "answeredAt", "settledAt"].map(time);
    assert!(times.is_sorted(), "{times:?}");
    assert!(generation["latency"].as_f64().unwrap() >= 0.0);
}

#[tokio::test]
async fn a_team_pages_through_its_own_generations_only() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon);
    let gateway = Gateway::serve(&installation).await;
    let (design, growth) = (installation.key("design"), installation.key("growth"));
    let mut made = Vec::new();
    for number in 1..=3 {
        made.push(
            gateway
                .send(&pictures(number).with(design))
                .await
                .header("x-request-id")
                .unwrap()
                .to_owned(),
        );
    }
    let video = generate("kling/kling-2-1-master", &json!({ "prompt": PROMPT, "duration": "5" }));
    gateway.send(&video.with(&installation.token("ann"))).await;
    let no = r#"{"error":"no","message":"no"}"#;
    firemoon.faults(&json!([{ "fault": "answer", "amount": 400, "text": no }])).await;
    assert_eq!(gateway.send(&picture().with(design)).await.status, 400);
    gateway.send(&picture().with(growth)).await;

    let list = view(&gateway, design, "/api/generations").await;
    let members = |member: &str| -> Vec<Value> {
        list["generations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|generation| generation[member].clone())
            .collect()
    };
    assert_eq!(members("status"), ["failed", "completed", "completed", "completed", "completed"]);
    assert_eq!(
        members("cost").iter().map(Value::to_string).collect::<Vec<_>>(),
        ["0", "1.4", "0.075", "0.05", "0.025"]
    );
    assert_eq!(members("user")[1], "ann");
    made.reverse();
    assert_eq!(members("requestId")[2..], made.iter().map(|id| json!(id)).collect::<Vec<_>>());
    assert_describes_the_video(&list["generations"][1]);
    let whole = json!({ "limit": 50, "offset": 0, "total": 5, "hasMore": false });
    assert_eq!(list["pagination"], whole);
    assert_eq!((&list["stats"]["completed"], &list["stats"]["failed"]), (&json!(4), &json!(1)));
    assert_eq!(list["stats"]["totalCost"].to_string(), "1.55");

    let page = view(&gateway, design, "/api/generations?limit=2&offset=1").await;
    assert_eq!(page["generations"], json!(list["generations"].as_array().unwrap()[1..3]));
    assert_eq!(page["pagination"], json!({ "limit": 2, "offset": 1, "total": 5, "hasMore": true }));
    let flux =
        view(&gateway, design, "/api/generations?endpoint=flux%2Fdev&limit=2&offset=2").await;
    assert_eq!(flux["generations"], json!(list["generations"].as_array().unwrap()[3..5]));
    assert_eq!(
        flux["pagination"],
        json!({ "limit": 2, "offset": 2, "total": null, "hasMore": false })
    );
    assert_eq!(flux["stats"]["total"], 4);
    let other = view(&gateway, growth, "/api/generations").await;
    assert_eq!(other["pagination"]["total"], 1);
    assert!(!other.to_string().contains("design"), "{other}");
}

#[tokio::test]
async fn usage_by_model_sums_to_firemoons_charges() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    for count in [1, 4] {
        gateway.send(&pictures(count).with(key)).await;
    }
    let video = generate("kling/kling-2-1-master", &json!({ "prompt": PROMPT, "duration": "10" }));
    gateway.send(&video.with(key)).await;
    gateway.send(&picture().with(installation.key("growth"))).await;
    for period in ["today", "week", "month", "year", "all"] {
        let usage = view(&gateway, key, &format!("/api/usage?period={period}")).await;
        assert_eq!((&usage["period"], &usage["timeZone"]), (&json!(period), &json!("UTC")));
        let [flux, kling] = usage["models"].as_array().unwrap().as_slice() else {
            panic!("{usage}")
        };
        assert_eq!(
            (&flux["endpoint"], &flux["requests"], &flux["images"]),
            (&json!("flux/dev"), &json!(2), &json!(5))
        );
        assert_eq!(
            (kling["videoSeconds"].as_f64(), kling["cost"].to_string()),
            (Some(10.0), "2.8".to_owned())
        );
        assert_eq!(usage["totals"]["cost"].to_string(), "2.925");
        assert_eq!(
            (&usage["totals"]["successRate"], &usage["generations"]["total"]),
            (&json!(1.0), &json!(3))
        );
    }
    let all = view(&gateway, key, "/api/usage").await;
    assert_eq!(all["period"], "all");
    assert_eq!(all["from"], all["to"], "it began today");
    assert_eq!(firemoon.charged().await, "2.95");
}

#[tokio::test]
async fn a_wrong_query_is_refused_with_every_mistake_in_it() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    for (path, problems) in [
        (
            "/api/generations?limit=101&offset=x",
            &[
                "limit must be a whole number from 1 to 100",
                "offset must be a whole number from 0 to 1000000",
            ][..],
        ),
        ("/api/generations?endpoint=..%2Fx", &["endpoint must be a model such as flux/dev"]),
        ("/api/usage?period=yesterday", &["period must be one of today, week, month, year, all"]),
    ] {
        let reply = gateway.send(&Call::get(path).with(key)).await;
        assert_eq!(reply.refusal(), (400, "invalid_request".to_owned()));
        assert_eq!(reply.json()["errors"], json!(problems));
        assert_eq!(
            gateway.send(&Call::get(path)).await.status,
            401,
            "another team learns nothing of it"
        );
    }
}

#[tokio::test]
async fn a_quote_tells_price_verdict_and_limit_and_reserves_nothing() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let mut limits = wide_limits();
    limits["credits_per_month"] = json!("0.1");
    let installation = Installation::on(&redis, &firemoon).set("/teams/design/limits", limits);
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    for _ in 0..3 {
        let admitted =
            quote(&gateway, key, "flux/dev", &json!({ "prompt": PROMPT, "num_images": 4 })).await;
        let quoted = admitted.json();
        assert_eq!(
            (admitted.status, &quoted["verdict"], quoted["price"].to_string()),
            (200, &json!("admitted"), "0.1".into())
        );
        assert_eq!((&quoted["code"], &quoted["limit"]), (&Value::Null, &Value::Null));
    }
    assert_untouched(&gateway, key).await;
    gateway.send(&picture().with(key)).await;
    let quoted = quote(&gateway, key, "flux/dev", &json!({ "prompt": PROMPT, "num_images": 4 }))
        .await
        .json();
    assert_eq!(
        (&quoted["verdict"], &quoted["code"]),
        (&json!("refused"), &json!("budget_exhausted"))
    );
    assert_eq!(quoted["limit"]["limit"], "team:credits_per_month");
    assert_eq!(quoted["limit"]["remaining"].to_string(), "0.075");
    assert_eq!(quoted["earliest"], quoted["limit"]["reset"]);
    // The call itself says so in the same words.
    let refused = gateway.send(&pictures(4).with(key)).await;
    assert_eq!((refused.status, &refused.json()["message"]), (402, &quoted["message"]));
    // What is no call at all has no quote.
    for (model, body, code) in [
        ("flux/dev", json!({ "num_images": 9 }), (400, "invalid_body")),
        ("flux/pro", json!({}), (403, "model_not_allowed")),
        ("flux/unheard-of", json!({}), (404, "model_unknown")),
    ] {
        assert_eq!(quote(&gateway, key, model, &body).await.refusal(), (code.0, code.1.to_owned()));
    }
    assert_eq!(firemoon.executed().await, 1);
}

/// The limit, used, reserved, price and reset.
#[tokio::test]
async fn refusals_and_the_own_page_state_the_limit_fully() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/teams/design/limits", json!({ "credits_per_day": "0.06", "requests_per_day": 2 }));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    gateway.send(&picture().with(key)).await;
    let (me, refused) =
        (view(&gateway, key, "/gateway/v1/me").await, gateway.send(&pictures(2).with(key)).await);
    assert_eq!(refused.refusal(), (402, "budget_exhausted".to_owned()));
    let [requests, credits] = me["limits"].as_array().unwrap().as_slice() else { panic!("{me}") };
    assert_eq!(credits["limit"], "team:credits_per_day");
    let reset = credits["reset"].as_str().unwrap();
    assert_eq!(
        refused.json()["message"],
        format!(
            "Insufficient credits to generate content: team:credits_per_day allows 0.06: 0.025 \
             used, 0 reserved, this call costs up to 0.05; it resets at {reset}"
        )
    );
    assert_eq!(
        (credits["used"].to_string(), credits["remaining"].to_string()),
        ("0.025".into(), "0.035".into())
    );
    assert_eq!(
        (&requests["used"], &requests["reserved"], &requests["max"]),
        (&json!(1), &json!(0), &json!(2))
    );
    gateway.send(&picture().with(key)).await;
    let free = generate("flux/schnell", &json!({ "prompt": PROMPT }));
    let refused = gateway.send(&free.with(key)).await;
    assert_eq!(refused.refusal(), (429, "quota_exhausted".to_owned()));
    assert_eq!(
        refused.json()["errors"],
        json!(["team:requests_per_day allows 2: 2 used, 0 reserved"])
    );
    let at = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(at(&refused.json()["resetAt"]), at(&requests["reset"]));
}

#[tokio::test]
async fn views_have_one_limit_across_all_replicas() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation =
        Installation::on(&redis, &firemoon).set("/account", json!({ "requests_per_minute": 6 }));
    let gateways = [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
    let (ann, bob) = (installation.token("ann"), installation.token("bob"));
    let views = [
        Call::get("/gateway/v1/me"),
        Call::get("/api/credits/balance"),
        Call::get("/api/generations"),
        Call::get("/api/usage"),
        Call::get("/gateway/v1/requests/none"),
        Call::post("/gateway/v1/quote/flux/dev").json(&json!({})),
    ];
    let mut statuses = Vec::new();
    for view in views.iter().cycle().take(12) {
        let reply = gateways[statuses.len() % 2].send(&view.clone().with(&ann)).await;
        statuses.push(reply.status);
        if reply.status == 429 {
            assert_eq!(reply.refusal().1, "rate_limited");
            assert_eq!(
                reply.json()["errors"],
                json!(["account:requests_per_minute allows 6: 6 used, 0 reserved"])
            );
            assert!((1..=10).contains(&reply.number("retry-after")));
        }
    }
    // The bucket refills evenly: on a slow machine one or the other comes back in between.
    let answered = statuses.iter().filter(|status| **status != 429).count();
    assert!(
        (6..12).contains(&answered) && statuses[..6] == [200, 200, 200, 200, 404, 200],
        "{statuses:?}"
    );
    assert_eq!(
        gateways[0].send(&views[0].clone().with(&bob)).await.status,
        200,
        "another user has another limit"
    );
    assert_eq!(gateways[0].send(&picture().with(&ann)).await.status, 200, "calls are not views");
}

#[tokio::test]
async fn every_route_that_reads_answers_head_and_names_its_methods() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let reads = [
        "/api/credits/balance",
        "/api/generations",
        "/api/usage",
        "/gateway/v1/me",
        "/gateway/v1/usage",
        "/gateway/openapi.json",
    ];
    for path in reads {
        let head = gateway.send(&Call::new(http::Method::HEAD, path).with(key)).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-type"), Some("application/json"));
        for method in
            [http::Method::POST, http::Method::DELETE, http::Method::PATCH, http::Method::OPTIONS]
        {
            let wrong = gateway.send(&Call::new(method, path).with(key)).await;
            assert_eq!(
                (wrong.refusal(), wrong.header("allow")),
                ((405, "method_not_allowed".into()), Some("GET, HEAD"))
            );
        }
    }
    let wrong = gateway.send(&Call::get("/gateway/v1/quote/flux/dev").with(key)).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    let description = gateway.send(&Call::get("/gateway/openapi.json")).await;
    assert_eq!(
        (description.status, &description.json()["openapi"]),
        (200, &json!("3.1.0")),
        "no credential is asked for"
    );
}
