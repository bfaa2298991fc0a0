//! Answers of the simulated Firemoon, word for word: results, flat JSON errors, and its platform's
//! pages.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde::Serialize;

use super::account::Allowance;
use super::order::Order;

/// A complete answer, before a fault spoils it.
pub(super) type Answer = Response<Bytes>;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn answer(status: StatusCode, kind: HeaderValue, body: Bytes) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// Any JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    // Cannot fail: all shapes have string keys and finite numbers.
    answer(status, JSON, serde_json::to_vec(body).unwrap_or_default().into())
}

/// Any text with any status, as JSON when it looks like JSON; for scripted answers.
pub(super) fn scripted(status: StatusCode, body: String) -> Answer {
    let kind = if body.starts_with(['{', '[']) { JSON } else { TEXT };
    answer(status, kind, body.into())
}

/// Firemoon's error body.
#[derive(Serialize)]
struct Flat<'a> {
    error: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    errors: &'a [String],
    #[serde(rename = "resetAt", skip_serializing_if = "Option::is_none")]
    reset_at: Option<String>,
}

fn flat(status: StatusCode, error: &str, message: &str) -> Answer {
    json(status, &Flat { error, message, errors: &[], reset_at: None })
}

pub(super) fn invalid_input(errors: &[String]) -> Answer {
    let body =
        Flat { error: "Invalid input", message: "Input validation failed", errors, reset_at: None };
    json(StatusCode::BAD_REQUEST, &body)
}

pub(super) fn invalid_key() -> Answer {
    flat(
        StatusCode::UNAUTHORIZED,
        "Invalid API key",
        "Please provide a valid API key in the Authorization header",
    )
}

/// Answer of a dashboard endpoint without a browser session. The text is not documented.
pub(super) fn session_required() -> Answer {
    flat(StatusCode::UNAUTHORIZED, "Unauthorized", "Please sign in to continue")
}

pub(super) fn insufficient_credits() -> Answer {
    flat(
        StatusCode::PAYMENT_REQUIRED,
        "Insufficient credits",
        "Insufficient credits to generate content",
    )
}

pub(super) fn access_denied(provider: &str) -> Answer {
    let message = format!("Your API key does not have access to provider: {provider}");
    flat(StatusCode::FORBIDDEN, "Access denied", &message)
}

/// The status is documented, the text is not.
pub(super) fn suspended() -> Answer {
    flat(StatusCode::FORBIDDEN, "Access denied", "Your account has been suspended")
}

pub(super) fn model_not_found(id: &str) -> Answer {
    flat(
        StatusCode::NOT_FOUND,
        "Model not found",
        &format!("Model configuration not found for {id}"),
    )
}

pub(super) fn rate_limited(now: Timestamp, reset: i64, retry_after: bool) -> Answer {
    let seconds = (reset - now.as_second()).max(1);
    let message = format!("Rate limit exceeded. Try again in {seconds} seconds.");
    let reset_at = Timestamp::from_second(reset).ok().map(|reset| format!("{reset:.3}"));
    let body = Flat { error: "Rate limit exceeded", message: &message, errors: &[], reset_at };
    let mut answer = json(StatusCode::TOO_MANY_REQUESTS, &body);
    if retry_after {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

pub(super) fn generation_failed(reason: &str) -> Answer {
    let message = format!("Failed to generate image: {reason}");
    flat(StatusCode::INTERNAL_SERVER_ERROR, "Generation failed", &message)
}

/// The platform's page for a path that does not exist.
pub(super) fn not_found_page() -> Answer {
    let page = "<!DOCTYPE html><html lang=\"en\"><head>\
        <title>404: This page could not be found.</title></head>\
        <body><h1>404</h1><h2>This page could not be found.</h2></body></html>";
    answer(StatusCode::NOT_FOUND, HTML, page.into())
}

/// The same as plain JSON, for simulators without the platform.
pub(super) fn not_found() -> Answer {
    flat(StatusCode::NOT_FOUND, "Not found", "This page could not be found")
}

/// The platform's answer to a wrong method: an empty body.
pub(super) fn method_not_allowed() -> Answer {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    answer
}

/// A redirect with its target in the body, like the platform's.
pub(super) fn redirect(status: StatusCode, to: &str) -> Answer {
    let mut redirect = answer(status, TEXT, "Redirecting...\n".into());
    if let Ok(location) = HeaderValue::from_str(to) {
        redirect.headers_mut().insert(LOCATION, location);
    }
    redirect
}

pub(super) fn payload_too_large() -> Answer {
    let text = "Request Entity Too Large\n\nFUNCTION_PAYLOAD_TOO_LARGE\n";
    answer(StatusCode::PAYLOAD_TOO_LARGE, TEXT, text.into())
}

/// The same as plain JSON, for simulators without the platform.
pub(super) fn payload_too_large_json() -> Answer {
    flat(StatusCode::PAYLOAD_TOO_LARGE, "Invalid input", "Request body is too large")
}

pub(super) fn platform_timeout() -> Answer {
    let text = "An error occurred with your deployment\n\nFUNCTION_INVOCATION_TIMEOUT\n";
    answer(StatusCode::GATEWAY_TIMEOUT, TEXT, text.into())
}

pub(super) fn bad_gateway() -> Answer {
    let page = "<!DOCTYPE html><html lang=\"en\"><head><title>502: Bad gateway</title></head>\
        <body><h1>502</h1><p>This deployment is temporarily unavailable.</p></body></html>";
    answer(StatusCode::BAD_GATEWAY, HTML, page.into())
}

/// Adds the key's rate-limit headers.
pub(super) fn allow(answer: &mut Answer, allowance: Allowance) {
    let headers = answer.headers_mut();
    headers.insert("x-ratelimit-limit", HeaderValue::from(allowance.limit));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(allowance.remaining));
    headers.insert("x-ratelimit-reset", HeaderValue::from(allowance.reset));
}

/// A successful generation of images.
#[derive(Serialize)]
pub(super) struct Images {
    pub(super) images: Vec<Image>,
    pub(super) seed: u64,
    pub(super) has_nsfw_concepts: Vec<bool>,
    pub(super) timings: Timings,
}

/// A successful generation of a video.
#[derive(Serialize)]
pub(super) struct Videos {
    pub(super) videos: [Video; 1],
    pub(super) seed: u64,
    pub(super) timings: Timings,
}

#[derive(Clone, Serialize)]
pub(super) struct Image {
    pub(super) url: String,
    width: u32,
    height: u32,
    content_type: &'static str,
}

#[derive(Serialize)]
pub(super) struct Video {
    pub(super) url: String,
    duration: u32,
    width: u32,
    height: u32,
    content_type: &'static str,
}

/// Seconds.
#[derive(Serialize)]
pub(super) struct Timings {
    pub(super) inference: f64,
}

impl Image {
    pub(super) fn new(url: String, order: &Order) -> Self {
        Self { url, width: order.width, height: order.height, content_type: "image/jpeg" }
    }
}

impl Video {
    pub(super) fn new(url: String, order: &Order) -> Self {
        Self {
            url,
            duration: order.units,
            width: order.width,
            height: order.height,
            content_type: "video/mp4",
        }
    }
}
