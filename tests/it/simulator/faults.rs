//! Every fault does what its name says, leaves the account as it should, and can be scripted by
//! header and by rule.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Answer, CAT, KEY, exchange_http2, request, settings, start};

#[tokio::test]
async fn a_fault_instead_of_the_call_charges_nothing() {
    let firemoon = start(settings()).await;
    for (fault, status, part) in [
        ("invalid_key", 401, "Invalid API key"),
        ("insufficient_credits", 402, "Insufficient credits"),
        ("access_denied", 403, "provider: flux"),
        ("suspended", 403, "suspended"),
        ("model_not_found", 404, "flux/dev"),
        ("html_not_found", 404, "<!DOCTYPE html>"),
        ("payload_too_large", 413, "FUNCTION_PAYLOAD_TOO_LARGE"),
        ("rate_limited;12", 429, "Try again in 12 seconds."),
        ("redirect", 307, "Redirecting"),
        ("redirect;302;text=http://127.0.0.1:1/", 302, "Redirecting"),
        ("bad_gateway", 502, "<!DOCTYPE html>"),
        ("answer;418;text=short and stout", 418, "short and stout"),
        ("answer;200;text={\"images\":{}}", 200, "{\"images\":{}}"),
        ("answer", 503, ""),
        ("generation_failed;executed=false;text=no", 500, "Failed to generate image: no"),
        ("platform_timeout;executed=false", 504, "FUNCTION_INVOCATION_TIMEOUT"),
        ("no_such_fault", 400, "x-simulator-fault"),
    ] {
        let answer = firemoon.spoilt(fault).await.unwrap();
        assert_eq!(answer.status, status, "{fault}");
        assert!(answer.text().contains(part), "{fault}: {}", answer.text());
    }
    let books = firemoon.books().await;
    assert_eq!(
        (&books["requests"], &books["executed"], &books["charged"]),
        (&json!(17), &json!(0), &json!(0))
    );
    assert_eq!(
        firemoon.generate("flux/dev", CAT).await.header("x-ratelimit-remaining"),
        Some("59")
    );
}

/// Sends a generation with a fault over a bare socket and reads until its end; the error is the
/// socket's.
async fn bare(address: &str, fault: &str) -> (Vec<u8>, std::io::Result<()>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = CAT.len();
    let head = format!(
        "POST /api/v1/flux/dev HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\
         x-simulator-fault: {fault}\r\ncontent-length: {length}\r\n\r\n{CAT}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    let end = loop {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) => break Ok(()),
            Ok(length) => read.extend_from_slice(&buffer[..length]),
            Err(error) => break Err(error),
        }
    };
    (read, end)
}

fn is_reset(end: &std::io::Result<()>) -> bool {
    end.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

/// The connection breaks by a reset or by its end, with and without the work done.
#[tokio::test]
async fn a_connection_can_break_before_a_byte_is_answered() {
    let firemoon = start(settings()).await;
    for (fault, executed, reset) in [
        ("reset_before_answer", 1, true),
        ("reset_before_answer;executed=false", 1, true),
        ("reset_before_answer;then=close", 2, false),
    ] {
        let (read, end) = bare(&firemoon.api, fault).await;
        assert!(read.is_empty(), "{fault}");
        assert_eq!(is_reset(&end), reset, "{fault}: {end:?}");
        assert_eq!(firemoon.books().await["executed"], executed, "{fault}");
    }
    assert_eq!(
        firemoon.balance().await,
        json!(99.95),
        "what was executed is charged, even if the answer did not arrive"
    );
    assert!(firemoon.books().await["calls"][0]["status"].is_null());
}

#[tokio::test]
async fn a_connection_can_end_after_headers_or_mid_body() {
    let firemoon = start(settings()).await;
    let (read, end) = bare(&firemoon.api, "reset_after_headers").await;
    let text = String::from_utf8(read).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with("\r\n\r\n"), "{text}");
    assert!(is_reset(&end), "{end:?}");
    for (fault, reset) in [("cut_body", false), ("cut_body;then=reset", true)] {
        let (read, end) = bare(&firemoon.api, fault).await;
        let text = String::from_utf8(read).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let announced =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        assert_eq!(body.len(), announced.parse::<usize>().unwrap() / 2);
        assert!(body.starts_with("{\"images\":"));
        assert_eq!(is_reset(&end), reset, "{fault}: {end:?}");
        assert!(!firemoon.spoilt(fault).await.unwrap().whole, "a client can tell");
    }
}

#[tokio::test]
async fn a_kept_connection_can_close_unannounced_after_an_answer() {
    let firemoon = start(settings()).await;
    let (read, end) = bare(&firemoon.api, "close_after_answer").await;
    let text = String::from_utf8(read).unwrap();
    assert!(end.is_ok() && text.ends_with('}') && text.contains("content-length: "), "{text}");
    assert!(!text.to_lowercase().contains("connection: close"), "{text}");
}

#[tokio::test]
async fn bytes_that_are_no_http_can_be_sent() {
    let firemoon = start(settings()).await;
    let raw = |text: &str, then: &str| {
        json!([{ "fault": "raw", "text": text, "then": then, "times": 1 }]).to_string()
    };
    let two = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\
               content-length: 1\r\n\r\n!";
    for (text, then, reset) in [("SSH-2.0-nonsense\r\n", "close", false), (two, "reset", true)] {
        assert_eq!(firemoon.put("/_simulator/faults", &raw(text, then)).await.status, 200);
        let mut stream = TcpStream::connect(&firemoon.api).await.unwrap();
        let head = format!(
            "POST /api/v1/flux/dev HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{CAT}",
            CAT.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut read = vec![0; text.len()];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(read, text.as_bytes());
        let end = stream.read(&mut [0]).await;
        assert_eq!(end.is_err(), reset, "{end:?}");
    }
    firemoon
        .put("/_simulator/faults", &raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "keep"))
        .await;
    let (mut stream, mut read) = (TcpStream::connect(&firemoon.api).await.unwrap(), [0; 40]);
    stream
        .write_all(b"POST /api/v1/flux/dev HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    stream.read_exact(&mut read).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut [0])).await;
    assert!(quiet.is_err(), "nothing more comes, and no end");
    assert_eq!(firemoon.books().await["executed"], 0);
}

#[tokio::test]
async fn headers_and_bodies_can_be_slow() {
    let firemoon = start(settings()).await;
    let started = Instant::now();
    let slow = firemoon.spoilt("slow_headers;120ms").await.unwrap();
    assert!(slow.status == 200 && started.elapsed() >= Duration::from_millis(120));
    let length = slow.body.len();
    let started = Instant::now();
    let slow = firemoon.spoilt("slow_body;after=20ms;amount=50").await.unwrap();
    let pieces = u32::try_from(length.div_ceil(50)).unwrap();
    assert!(slow.whole && slow.json()["seed"].is_u64());
    assert!(started.elapsed() >= Duration::from_millis(20) * pieces);
    let started = Instant::now();
    assert_eq!(firemoon.spoilt("bad_gateway;60ms").await.unwrap().status, 502);
    assert!(started.elapsed() >= Duration::from_millis(60), "any fault may be late");
    let default =
        tokio::time::timeout(Duration::from_millis(100), firemoon.spoilt("slow_headers")).await;
    assert!(default.is_err(), "thirty seconds by default");
}

/// Empty, too long, flagged, null or broken.
#[tokio::test]
async fn a_paid_answer_can_be_unusable() {
    let firemoon = start(settings()).await;
    let ask = async |fault: &'static str| -> Answer { firemoon.spoilt(fault).await.unwrap() };
    assert_eq!(ask("empty_images").await.json()["images"], json!([]));
    assert_eq!(ask("more_images;6").await.json()["images"].as_array().unwrap().len(), 6);
    assert_eq!(ask("nsfw").await.json()["has_nsfw_concepts"], json!([true]));
    let nulls = ask("null_fields").await.json();
    assert_eq!((&nulls["timings"], &nulls["has_nsfw_concepts"]), (&json!({}), &json!(null)));
    let broken = ask("broken_json").await;
    assert!(broken.whole && serde_json::from_slice::<serde_json::Value>(&broken.body).is_err());
    let missing = ask("media_missing").await.json();
    assert_eq!(firemoon.fetch(&missing["images"][0]["url"]).await.status, 404);
    assert_eq!(ask("oversized_header;50000").await.header("x-oversized").unwrap().len(), 50_000);
    let data = ask("data_uri;3000000").await.json();
    let uri = data["images"][0]["url"].as_str().unwrap();
    assert!(uri.starts_with("data:image/jpeg;base64,/9j/") && uri.len() >= 3_000_000);
    assert_eq!(firemoon.books().await["executed"], 8);
    assert_eq!(firemoon.balance().await, json!(99.8), "each of the eight was paid as ordered");
}

#[tokio::test]
async fn an_answer_can_repeat_the_credential_it_was_called_with() {
    let firemoon = start(settings()).await;
    let credential = format!("Bearer {KEY}");
    for fault in ["echo_authorization", "echo_authorization;text=split"] {
        let answer = firemoon.spoilt(fault).await.unwrap();
        assert_eq!(answer.json()["debug"]["authorization"], credential, "{fault}");
        assert!(answer.json()["images"].is_array());
    }
    let header = firemoon.spoilt("echo_authorization;text=header").await.unwrap();
    assert_eq!(header.header("x-debug-authorization"), Some(credential.as_str()));
    let kind = firemoon.spoilt("echo_authorization;text=content_type").await.unwrap();
    assert!(kind.header("content-type").unwrap().contains(KEY));
    let error = firemoon.spoilt("echo_authorization;text=error").await.unwrap();
    assert!(error.status == 500 && error.text().contains(KEY));
}

#[tokio::test]
async fn a_refused_call_is_refused_despite_a_pending_fault() {
    let firemoon = start(settings()).await;
    firemoon.put("/_simulator/keys/test", r#"{"balance":"0"}"#).await;
    assert_eq!(firemoon.spoilt("reset_before_answer").await.unwrap().status, 402);
}

#[tokio::test]
async fn faults_can_be_scripted_for_callers_without_our_headers() {
    let firemoon = start(settings()).await;
    let rules = r#"[{"model":"flux/dev","prompt_contains":"dog","times":2,"fault":"nsfw"},
                    {"x_request_id":"r-7","times":1,"fault":"bad_gateway"},
                    {"path":"/api/models","fault":"bad_gateway"},
                    {"key":"demo","fault":"suspended"}]"#;
    assert_eq!(firemoon.put("/_simulator/faults", rules).await.status, 200);
    let dog = r#"{"prompt":"a dog"}"#;
    for flagged in [true, true, false] {
        assert_eq!(
            firemoon.generate("flux/dev", dog).await.json()["has_nsfw_concepts"],
            json!([flagged])
        );
    }
    assert_eq!(
        firemoon.get("/_simulator/faults").await.json().as_array().unwrap().len(),
        3,
        "the first is used up"
    );
    let key = format!("Bearer {KEY}");
    for status in [502, 200] {
        let headers = [("authorization", key.as_str()), ("x-request-id", "r-7")];
        assert_eq!(
            firemoon.call(Method::POST, "/api/v1/flux/dev", &headers, CAT).await.status,
            status
        );
    }
    assert_eq!(firemoon.get("/api/models").await.status, 502);
    assert_eq!(firemoon.generate_with(super::client::DEMO, "flux/dev", CAT).await.status, 403);
    let wrong = firemoon.put("/_simulator/faults", r#"[{"fault":"nsfw"},{"fault":"nsfv"}]"#).await;
    assert!(wrong.status == 400 && wrong.text().contains("rule 1"), "{}", wrong.text());
    assert_eq!(firemoon.call(Method::DELETE, "/_simulator/faults", &[], "").await.status, 200);
    assert_eq!(firemoon.get("/api/models").await.status, 200);
}

#[tokio::test]
async fn the_same_port_speaks_http2_with_faults() {
    let firemoon = start(settings()).await;
    let key = format!("Bearer {KEY}");
    let call = async |fault: Option<&str>| {
        let mut headers = vec![("authorization", key.as_str())];
        headers.extend(fault.map(|fault| ("x-simulator-fault", fault)));
        exchange_http2(
            &firemoon.api,
            request(&firemoon.api, Method::POST, "/api/v1/flux/dev", &headers, CAT),
        )
        .await
    };
    assert_eq!(call(None).await.unwrap().json()["images"].as_array().unwrap().len(), 1);
    assert_eq!(call(Some("bad_gateway")).await.unwrap().status, 502);
    assert!(call(Some("reset_before_answer")).await.is_err());
    let cut = call(Some("cut_body")).await.unwrap();
    assert!(cut.status == 200 && !cut.whole && !cut.body.is_empty());
    assert_eq!(firemoon.books().await["calls"][0]["version"], "HTTP/2.0");
}
