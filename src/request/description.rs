//! OpenAPI 3.1 description of the team listener's API.

use http::HeaderValue;
use http::header::CONTENT_TYPE;

use crate::http::{Answer, AnswerBody};

/// The document. Tests compare it with the table of routes, the refusals and a running gateway.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The answer of `GET /gateway/openapi.json`.
#[must_use]
pub fn description() -> Answer {
    let mut answer = Answer::new(AnswerBody::new(OPENAPI));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
