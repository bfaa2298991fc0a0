//! A team's spend, as its page shows it: by day, by model and by user, this month and last.

use serde_json::{Value, json};

use crate::support::caller::{Call, generate};
use crate::support::firemoon::{Firemoon, PROMPT, picture, pictures};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;

async fn spend(gateway: &Gateway, credential: &str, query: &str) -> Value {
    let call = Call::get(&format!("/gateway/v1/usage{query}"));
    let reply = gateway.send(&call.with(credential)).await;
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")));
    reply.json()
}

/// What each entry of a division is called, with its calls and its cost.
fn parts(spend: &Value, division: &str, name: &str) -> Vec<(String, u64, String)> {
    let entries = spend[division].as_array().unwrap().iter();
    entries
        .map(|of| {
            let called = of[name].as_str().unwrap().to_owned();
            (called, of["requests"].as_u64().unwrap(), of["cost"].to_string())
        })
        .collect()
}

fn entry(name: &str, calls: u64, cost: &str) -> (String, u64, String) {
    (name.to_owned(), calls, cost.to_owned())
}

#[tokio::test]
async fn spend_by_day_model_and_user_sums_to_the_total() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let (ann, bob) = (installation.token("ann"), installation.token("<b>bob</b>"));
    for count in [1, 4] {
        assert_eq!(gateway.send(&pictures(count).with(&ann)).await.status, 200);
    }
    let video = generate("kling/kling-2-1-master", &json!({ "prompt": PROMPT, "duration": "5" }));
    assert_eq!(gateway.send(&video.with(&bob)).await.status, 200);
    assert_eq!(gateway.send(&picture().with(installation.key("growth"))).await.status, 200);

    let month = spend(&gateway, &ann, "").await;
    assert_eq!((&month["period"], &month["timeZone"]), (&json!("month"), &json!("UTC")));
    assert_eq!(month, spend(&gateway, &bob, "?period=month").await, "a team has one spend");
    let me = gateway.send(&Call::get("/gateway/v1/me").with(&ann)).await.json();
    assert_eq!(me["timeZone"], "UTC");
    let today = &me["at"].as_str().unwrap()[..10];
    assert_eq!(parts(&month, "days", "day"), [entry(today, 3, "1.525")]);
    assert_eq!(
        parts(&month, "models", "endpoint"),
        [entry("flux/dev", 2, "0.125"), entry("kling/kling-2-1-master", 1, "1.4")]
    );
    assert_eq!(
        parts(&month, "users", "user"),
        [entry("<b>bob</b>", 1, "1.4"), entry("ann", 2, "0.125")],
        "the largest spender comes first"
    );
    assert_eq!(month["totals"]["cost"].to_string(), "1.525");
    assert_eq!(month["users"][1]["images"], 5);
}

#[tokio::test]
async fn last_month_is_whole_and_other_words_are_refused() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    assert_eq!(gateway.send(&picture().with(key)).await.status, 200);
    let (this, last) =
        (spend(&gateway, key, "").await, spend(&gateway, key, "?period=last_month").await);
    let day = |month: &Value, end: &str| -> jiff::civil::Date {
        month[end].as_str().unwrap().parse().unwrap()
    };
    assert_eq!(day(&last, "to").tomorrow().unwrap(), day(&this, "from"));
    assert_eq!((day(&last, "from").day(), day(&this, "from").day()), (1, 1));
    assert_eq!(last["totals"]["requests"], 0);
    assert_eq!((&last["days"], &last["users"]), (&json!([]), &json!([])));
    let wrong = gateway.send(&Call::get("/gateway/v1/usage?period=May").with(key)).await;
    assert_eq!(wrong.refusal(), (400, "invalid_request".to_owned()));
    assert_eq!(
        wrong.json()["errors"],
        json!(["period must be one of today, week, month, last_month, year, all"])
    );
}
