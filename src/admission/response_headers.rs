//! What a caller is told of a call that was admitted: what it cost, what is left, and where the time went.

use std::time::Duration;

use http::HeaderMap;

use crate::call::UpstreamResponse;
use crate::credits::Credits;
use crate::http::{Answer, AnswerBody, HeaderWriter, server_timing};
use crate::ledger::Snapshot;
use crate::ledger::headers::{credit_headers, rate_limit_headers};

/// How many headers such an answer has, with those that other layers add: a map of one more takes twice the room.
const HEADERS: usize = 12;

/// The headers of every answer to an admitted call, whether it was executed or not: what it cost, and how the limits
/// stand now; `times` as in [`server_timing`].
#[must_use]
pub fn headers(limits: &Snapshot, cost: Credits, times: [Duration; 3]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(HEADERS);
    let mut writer = HeaderWriter::new(&mut headers);
    rate_limit_headers(&mut writer, limits.standings(), limits.at());
    credit_headers(&mut writer, limits.standings(), cost);
    server_timing(&mut writer, times);
    headers
}

/// An upstream answer as it is passed on: of its own, only content type, content encoding and the body.
#[must_use]
pub fn passed_on(passed: UpstreamResponse, ours: HeaderMap) -> Answer {
    let mut answer = http::Response::new(AnswerBody::new(passed.body).holding(Some(passed.room)));
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
