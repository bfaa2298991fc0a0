//! Headers of an admitted call's answer: its cost, the limits, and the times.

use std::time::Duration;

use http::HeaderMap;

use crate::call::UpstreamResponse;
use crate::credits::Credits;
use crate::http::{Answer, AnswerBody, HeaderWriter, server_timing};
use crate::ledger::ExtrapolatedLimits;
use crate::ledger::headers::{credit_headers, rate_limit_headers};

/// How many headers such an answer has, including those of other layers: one more would double the
/// map.
const HEADERS: usize = 12;

/// The headers of every answer to an admitted call, executed or not; `times` as in
/// [`server_timing`].
#[must_use]
pub fn headers(limits: &ExtrapolatedLimits, cost: Credits, times: [Duration; 3]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(HEADERS);
    let mut writer = HeaderWriter::new(&mut headers);
    rate_limit_headers(&mut writer, limits.statuses(), limits.at());
    credit_headers(&mut writer, limits.statuses(), cost);
    server_timing(&mut writer, times);
    headers
}

/// The upstream's answer as it is passed on: its body, content type and content encoding only.
#[must_use]
pub fn passed_on(passed: UpstreamResponse, ours: HeaderMap) -> Answer {
    let mut answer =
        http::Response::new(AnswerBody::new(passed.body).holding(Some(passed.answer_permit)));
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
