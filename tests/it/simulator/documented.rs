//! Every documented endpoint, status, text, header, default and size.

use http::Method;
use moongate::simulator::{KeySettings, Latency, Limits, Settings};
use serde_json::{Value, json};
use std::time::Duration;

use super::client::{CAT, DEMO, KEY, settings, start};

#[tokio::test]
async fn the_errors_are_word_for_word_the_documented_ones() {
    let mut settings = settings();
    let poor =
        KeySettings { account: "poor".into(), ..KeySettings::new("poor", "poor-key", Limits::PRO) };
    settings.keys.push(poor);
    let firemoon = start(settings).await;
    firemoon.put("/_simulator/keys/poor", r#"{"balance":0.024}"#).await;
    let long = format!(r#"{{"prompt":"{}"}}"#, "a".repeat(1001));
    for (key, model, body, status, golden) in [
        (
            KEY,
            "flux/dev",
            "{}",
            400,
            r#"{"error":"Invalid input","message":"Input validation failed","errors":["Missing required field: prompt"]}"#,
        ),
        (
            KEY,
            "flux/dev",
            &long,
            400,
            r#"{"error":"Invalid input","message":"Input validation failed","errors":["Invalid value for field prompt: must be at most 1000 characters"]}"#,
        ),
        (
            "wrong",
            "flux/dev",
            CAT,
            401,
            r#"{"error":"Invalid API key","message":"Please provide a valid API key in the Authorization header"}"#,
        ),
        (
            "poor-key",
            "flux/dev",
            CAT,
            402,
            r#"{"error":"Insufficient credits","message":"Insufficient credits to generate content"}"#,
        ),
        (
            DEMO,
            "kling/kling-2-1-master",
            CAT,
            403,
            r#"{"error":"Access denied","message":"Your API key does not have access to provider: kling"}"#,
        ),
        (
            KEY,
            "flux/invalid-model",
            CAT,
            404,
            r#"{"error":"Model not found","message":"Model configuration not found for flux/invalid-model"}"#,
        ),
    ] {
        let answer = firemoon.generate_with(key, model, body).await;
        assert_eq!((answer.status, answer.text()), (status, golden));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert_eq!(firemoon.books().await["executed"], 0);
    let failed = firemoon.spoilt("generation_failed").await.unwrap();
    assert_eq!(
        failed.text(),
        r#"{"error":"Generation failed","message":"Failed to generate image: timeout"}"#
    );
    firemoon.put("/_simulator/keys/poor", r#"{"suspended":true}"#).await;
    let suspended = firemoon.generate_with("poor-key", "flux/dev", CAT).await;
    assert_eq!(
        (suspended.status, suspended.json()["error"].as_str()),
        (403, Some("Access denied"))
    );
}

#[tokio::test]
async fn every_callers_minute_ends_at_the_announced_second() {
    let mut settings = settings();
    settings.keys =
        vec![KeySettings::new("test", KEY, Limits { per_minute: Some(2), ..Limits::PRO })];
    let firemoon = start(settings).await;
    for (remaining, body) in [("1", CAT), ("0", "{}")] {
        let answer = firemoon.generate("flux/dev", body).await;
        let numbers = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
            .map(|name| answer.header(name));
        assert_eq!(numbers, [Some("2"), Some(remaining), Some("1761215400")]);
    }
    let refused = firemoon.generate("flux/dev", CAT).await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.text(),
        r#"{"error":"Rate limit exceeded","message":"Rate limit exceeded. Try again in 45 seconds.","resetAt":"2025-10-23T10:30:00.000Z"}"#
    );
    assert_eq!(
        (refused.header("x-ratelimit-remaining"), refused.header("retry-after")),
        (Some("0"), None)
    );
    assert_eq!(
        firemoon.get_with(KEY, "/api/credits/balance").await.header("x-ratelimit-remaining"),
        Some("0")
    );
    firemoon.clock.set("2025-10-23T10:30:00Z".parse().unwrap());
    assert_eq!(firemoon.generate("flux/dev", CAT).await.status, 200);
}

#[tokio::test]
async fn days_and_months_have_limits_like_minutes() {
    let mut settings = settings();
    let limits = Limits { per_minute: None, per_day: Some(1), per_month: Some(2) };
    settings.keys = vec![KeySettings::new("test", KEY, limits)];
    let firemoon = start(settings).await;
    let reset = async || firemoon.generate("flux/dev", CAT).await.json()["resetAt"].clone();
    assert_eq!((reset().await, reset().await), (Value::Null, json!("2025-10-24T00:00:00.000Z")));
    firemoon.clock.set("2025-10-24T00:00:00Z".parse().unwrap());
    assert_eq!((reset().await, reset().await), (Value::Null, json!("2025-11-01T00:00:00.000Z")));
}

#[tokio::test]
async fn images_come_as_documented_and_their_addresses_hold_real_pictures() {
    let firemoon = start(settings()).await;
    let answer = firemoon
        .generate("flux/dev", r#"{"prompt":"a","num_images":2,"seed":123456789,"later":[1]}"#)
        .await;
    let body = answer.json();
    let urls: Vec<Value> = (0..2).map(|index| body["images"][index]["url"].clone()).collect();
    let golden = format!(
        r#"{{"images":[{{"url":{},"width":1024,"height":768,"content_type":"image/jpeg"}},{{"url":{},"width":1024,"height":768,"content_type":"image/jpeg"}}],"seed":123456789,"has_nsfw_concepts":[false,false],"timings":{{"inference":0.0}}}}"#,
        urls[0], urls[1]
    );
    assert_eq!(answer.text(), golden);
    let pictures = [firemoon.fetch(&urls[0]).await, firemoon.fetch(&urls[1]).await];
    for picture in &pictures {
        assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/jpeg")));
        assert!(picture.body.starts_with(b"\xff\xd8") && picture.body.ends_with(b"\xff\xd9"));
        // After the marker of a frame come its length, its precision, its height and its width.
        let frame = picture.body.windows(9).find(|part| part.starts_with(b"\xff\xc0")).unwrap();
        assert_eq!(frame[5..], [3, 0, 4, 0], "1024 by 768");
    }
    assert_ne!(pictures[0].body, pictures[1].body);
    let size = r#"{"prompt":"a","image_size":"portrait_16_9"}"#;
    let portrait = firemoon.generate("flux/schnell", size).await.json();
    assert_eq!(
        (&portrait["images"][0]["width"], &portrait["images"][0]["height"]),
        (&json!(576), &json!(1024))
    );
}

#[tokio::test]
async fn a_video_comes_as_documented_with_a_working_address() {
    let firemoon = start(settings()).await;
    let answer = firemoon
        .generate("kling/kling-2-1-master", r#"{"prompt":"a","seed":7,"duration":"10"}"#)
        .await;
    let url = answer.json()["videos"][0]["url"].clone();
    let golden = format!(
        r#"{{"videos":[{{"url":{url},"duration":10,"width":1920,"height":1088,"content_type":"video/mp4"}}],"seed":7,"timings":{{"inference":0.0}}}}"#
    );
    assert_eq!(answer.text(), golden);
    let video = firemoon.fetch(&url).await;
    assert_eq!((video.status, video.header("content-type")), (200, Some("video/mp4")));
    assert_eq!(&video.body[4..8], b"ftyp");
    assert_eq!(firemoon.balance().await, json!(97.2), "ten seconds at 0.28");
}

#[tokio::test]
async fn every_model_that_was_ever_seen_generates() {
    let firemoon = start(settings()).await;
    for model in [
        "flux/dev",
        "flux/schnell",
        "flux/pro",
        "flux-2-dev/edit",
        "ideogram/v3",
        "ideogram/v3-turbo",
        "ideogram/v3-character-edit",
        "nano-banana",
        "nano-banana/edit",
        "nano-banana-pro/edit",
        "kling/kling-2-1-master",
        "minimax/hailuo-02",
        "firemoon-studio/memphis-style",
        "firemoon-studio/better-faces",
        "firemoon-studio/cosplay-costumes",
        "firemoon-studio/detail-maximizer",
        "firemoon-studio/background-remover",
    ] {
        let body = r#"{
            "prompt": "a", "num_images": 1,
            "image_url": "data:image/png;base64,AAAA", "image_urls": ["x"]
        }"#;
        let answer = firemoon.generate(model, body).await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        let configuration = firemoon.get(&format!("/api/models-config/{model}")).await.json();
        assert_eq!(configuration["id"], model);
    }
}

#[tokio::test]
async fn public_endpoints_need_no_key() {
    let firemoon = start(settings()).await;
    let models = firemoon.get("/api/models").await.json();
    assert_eq!(models.as_array().unwrap().len(), 17);
    let flux = json!({
        "id": "flux/dev",
        "provider": "flux",
        "category": "image",
        "pricing": { "credits": 0.025, "unit": "image" },
    });
    assert_eq!(models[0], flux);
    let configuration = firemoon.get("/api/models-config/flux/dev").await.json();
    let images = json!({
        "name": "num_images",
        "required": false,
        "type": "integer",
        "minimum": 1.0,
        "maximum": 4.0,
        "default": 1,
    });
    assert_eq!(configuration["parameters"][1], images);
    assert_eq!(firemoon.get("/api/models-config/flux/none").await.status, 404);
    let samples = firemoon.get("/api/sample-images").await.json();
    assert_eq!(firemoon.fetch(&samples[0]).await.header("content-type"), Some("image/jpeg"));
    assert_eq!(firemoon.call(Method::HEAD, "/api/models", &[], "").await.status, 200);
}

#[tokio::test]
async fn an_account_sees_its_balance_its_generations_and_its_usage() {
    let firemoon = start(settings()).await;
    firemoon.clock.set("2025-09-01T08:00:00Z".parse().unwrap());
    firemoon.generate("flux/dev", r#"{"prompt":"the first","num_images":4}"#).await;
    firemoon.clock.set("2025-10-23T10:00:00Z".parse().unwrap());
    firemoon.generate("kling/kling-2-1-master", r#"{"prompt":"the second"}"#).await;
    firemoon.spoilt("generation_failed").await.unwrap();
    assert_eq!(
        firemoon.get_with(KEY, "/api/credits/balance").await.json(),
        json!({ "balance": 98.5 })
    );

    let page = firemoon.get_with(KEY, "/api/generations?limit=1&offset=1").await.json();
    assert_eq!(page["pagination"], json!({ "limit": 1, "offset": 1, "total": 3, "hasMore": true }));
    assert_eq!(
        (&page["generations"][0]["prompt"], &page["generations"][0]["cost"]),
        (&json!("the second"), &json!(1.4))
    );
    assert_eq!((&page["stats"]["completed"], &page["stats"]["failed"]), (&json!(2), &json!(1)));
    let flux =
        firemoon.get_with(KEY, "/api/generations?endpoint=flux%2Fdev&limit=1000").await.json();
    assert_eq!(
        (&flux["pagination"]["total"], &flux["pagination"]["limit"]),
        (&json!(2), &json!(100))
    );
    let default = firemoon.get_with(KEY, "/api/generations").await.json();
    assert_eq!(
        (&default["pagination"]["limit"], &default["pagination"]["offset"]),
        (&json!(50), &json!(0))
    );

    let all = firemoon.get_with(KEY, "/api/usage").await.json();
    let totals = json!({ "requests": 3, "images": 4, "videoSeconds": 5, "cost": 1.5 });
    assert_eq!((&all["period"], &all["totals"]), (&json!("all"), &totals));
    for (period, requests) in [("today", 2), ("week", 2), ("month", 2), ("year", 3)] {
        let usage = firemoon.get_with(KEY, &format!("/api/usage?period={period}")).await.json();
        assert_eq!(usage["totals"]["requests"], requests, "{period}");
    }
    assert_eq!(firemoon.get_with(KEY, "/api/usage?period=century").await.status, 400);
    for path in ["/api/credits/balance", "/api/generations", "/api/usage"] {
        assert_eq!(
            (firemoon.get(path).await.status, firemoon.get_with("wrong", path).await.status),
            (401, 401)
        );
    }
    let other = firemoon.get_with(DEMO, "/api/generations").await.json();
    assert_eq!(other["pagination"]["total"], 0, "another account's");
}

#[tokio::test]
async fn the_hosting_platform_answers_what_the_service_does_not() {
    let firemoon = start(Settings { body_bytes_max: 100, ..settings() }).await;
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/providers",
        "/api/v1/flux/dev",
        "/api/generate",
        "/dashboard",
    ] {
        let answer = firemoon.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (404, Some("text/html; charset=utf-8")),
            "{path}"
        );
        assert!(answer.text().starts_with("<!DOCTYPE html>"));
    }
    for (method, path) in [
        (Method::PUT, "/api/v1/flux/dev"),
        (Method::POST, "/api/models"),
        (Method::DELETE, "/api/usage"),
    ] {
        let answer = firemoon.call(method, path, &[], "").await;
        assert_eq!((answer.status, answer.body.len()), (405, 0), "{path}");
    }
    for (path, to) in
        [("/api/models/", "/api/models"), ("/api//v1/flux/dev/?a=b", "/api/v1/flux/dev?a=b")]
    {
        let answer = firemoon.call(Method::POST, path, &[], "").await;
        assert_eq!((answer.status, answer.header("location")), (308, Some(to)));
    }
    let large =
        firemoon.generate("flux/dev", &format!(r#"{{"prompt":"{}"}}"#, "a".repeat(100))).await;
    assert_eq!(
        (large.status, large.header("content-type")),
        (413, Some("text/plain; charset=utf-8"))
    );
    assert!(large.text().contains("FUNCTION_PAYLOAD_TOO_LARGE"));
    assert_eq!(large.header("server"), Some("Vercel"));
}

/// One of exactly that size passes.
#[tokio::test]
async fn a_body_over_4_5_megabytes_is_refused_audibly() {
    let firemoon = start(settings()).await;
    let edit = |length: usize| format!(r#"{{"prompt":"a","image_url":"{}"}}"#, "a".repeat(length));
    let around = edit(0).len();
    for (length, status) in [(4_500_000, 200), (4_500_001, 413), (9_000_000, 413)] {
        let answer = firemoon.generate("flux-2-dev/edit", &edit(length - around)).await;
        assert_eq!(answer.status, status, "{length}");
    }
}

#[tokio::test]
async fn a_slow_generation_is_ended_in_plain_text() {
    let time_out = Duration::from_millis(30);
    let firemoon = start(Settings {
        time_out,
        latency: Some(Latency::fixed(Duration::from_secs(3600))),
        ..settings()
    })
    .await;
    let answer = firemoon.generate("flux/dev", CAT).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (504, Some("text/plain; charset=utf-8"))
    );
    assert!(answer.text().contains("FUNCTION_INVOCATION_TIMEOUT"));
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_still_billed() {
    let firemoon = start(settings()).await;
    {
        let call = firemoon.spoilt("hold");
        tokio::pin!(call);
        tokio::select! {
            _ = &mut call => panic!("answered before it was released"),
            _ = firemoon.until("the call runs", |books| books["held"] == 1) => {}
        }
    }
    assert_eq!(firemoon.books().await["executed"], 0);
    firemoon.call(Method::POST, "/_simulator/release", &[], "").await;
    let books = firemoon.until("the call has run", |books| books["in_flight"] == 0).await;
    assert_eq!(
        (&books["executed"], &books["charged"], &books["held"]),
        (&json!(1), &json!(0.025), &json!(0))
    );
}
