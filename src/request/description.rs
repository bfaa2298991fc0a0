//! The description of the team listener's API, as it answers it: OpenAPI 3.1.

use http::HeaderValue;
use http::header::CONTENT_TYPE;

use crate::http::{Answer, AnswerBody};

/// The document. The tests hold it against the table of routes and the refusals, and a running gateway against it.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The answer of `GET /gateway/openapi.json`.
#[must_use]
pub fn description() -> Answer {
    let mut answer = Answer::new(AnswerBody::new(OPENAPI));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
