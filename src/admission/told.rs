//! What a caller is told of a call that was admitted: what it cost, what is left, and where the time went.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::credits::Credits;
use crate::http::{Answer, AnswerBody, SERVER_TIMING, X_CREDITS_COST, X_CREDITS_REMAINING};
use crate::ledger::headers::rate_limit_headers;
use crate::ledger::{Snapshot, Standing};
use crate::team::limit::{Shape, Unit};
use crate::upstream::Passed;

/// Where the time of a call went.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// In the gateway itself.
    pub own: Duration,
    /// Waiting for the shared account.
    pub queued: Duration,
    /// At the upstream.
    pub upstream: Duration,
}

/// The headers of every answer to an admitted call, whether it was executed or not: what it cost, and how the limits stand now.
#[must_use]
pub fn headers(limits: &Snapshot, cost: Credits, times: Times) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    headers.extend(rate_limit_headers(limits.standings(), limits.at()));
    headers.insert(X_CREDITS_COST, decimal(cost));
    if let Some(remaining) = credits_remaining(limits.standings()) {
        headers.insert(X_CREDITS_REMAINING, decimal(remaining));
    }
    headers.insert(SERVER_TIMING, timing(times));
    headers
}

/// An upstream answer as it is passed on: of its own, only content type, content encoding and the body.
#[must_use]
pub fn passed_on(passed: Passed, ours: HeaderMap) -> Answer {
    let mut answer = http::Response::new(AnswerBody::new(passed.body).holding(Some(passed.held)));
    *answer.status_mut() = passed.status;
    *answer.headers_mut() = ours;
    let headers = answer.headers_mut();
    if let Some(content_type) = passed.content_type {
        headers.insert(http::header::CONTENT_TYPE, content_type);
    }
    if let Some(content_encoding) = passed.content_encoding {
        headers.insert(http::header::CONTENT_ENCODING, content_encoding);
    }
    answer
}

/// What the tightest credit budget leaves, on whichever level: a call that costs more is refused. A shadow budget refuses none.
fn credits_remaining(standings: &[Standing]) -> Option<Credits> {
    let counts = |standing: &&Standing| matches!(standing.kind.shape(), Shape::Window(_, Unit::Credits));
    let budgets = standings.iter().filter(|standing| !standing.shadow).filter(counts);
    budgets.map(|standing| Credits::from_micros(standing.remaining())).min()
}

fn decimal(credits: Credits) -> HeaderValue {
    HeaderValue::try_from(credits.to_string()).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

fn timing(Times { own, queued, upstream }: Times) -> HeaderValue {
    // In whole microseconds: writing a float takes ten times as long.
    let millis = |duration: Duration| (duration.as_micros() / 1000, duration.as_micros() % 1000);
    let [(own, a), (queued, b), (upstream, c)] = [own, queued, upstream].map(millis);
    let text = format!("gateway;dur={own}.{a:03}, queue;dur={queued}.{b:03}, upstream;dur={upstream}.{c:03}");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("gateway"))
}
