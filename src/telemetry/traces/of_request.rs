//! The span of a whole request: the semantic conventions of HTTP servers, and the caller and the
//! model.
//!
//! Like the access line it has no path beyond the route's name, no query, no header value, no
//! prompt and no credential; the caller's own request id is left out too.

use crate::request::RequestFacts;
use crate::request::recording::Recording;
use crate::telemetry::access_log::{Ended, known_method};

/// Adds the span of an ended request; `answered` is false if the caller left before.
pub fn end(
    recording: &Recording,
    ended: &Ended<'_>,
    facts: &RequestFacts,
    scheme: &'static str,
    answered: bool,
) {
    let method = known_method(ended.method);
    let name = match facts.route {
        Some(route) => format!("{} {route}", method.unwrap_or("HTTP")),
        None => method.unwrap_or("HTTP").to_owned(),
    };
    let mut span = recording.of_request(name);
    span.note("http.request.method", method.unwrap_or("_OTHER").to_owned());
    span.note("url.scheme", scheme);
    if let Some(route) = facts.route {
        span.note("http.route", route);
    }
    if answered {
        span.note("http.response.status_code", ended.status.as_u16());
    }
    if let Some(id) = facts.call_id {
        span.note("moongate.call_id", id.to_string());
    }
    if let Some(team) = &facts.team {
        span.note("moongate.team", team.to_string());
    }
    if let Some(model) = &facts.model {
        span.note("moongate.model", model.to_string());
    }
    span.note("moongate.outcome", ended.outcome.name());
    let code = facts.refusal.map(|kind| kind.code);
    if let Some(code) = code {
        span.note("moongate.code", code);
    }
    if answered && ended.status.is_server_error() {
        match code {
            Some(code) => span.fail(code),
            None => span.fail(ended.status.as_str().to_owned()),
        }
    }
    recording.add(span);
}
