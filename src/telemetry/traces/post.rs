//! One post to the collector.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use super::Settings;
use crate::https::{ExchangeError, HttpsClient, secret_header};

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Why a post failed.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// No answer came.
    #[error(transparent)]
    Unanswered(#[from] ExchangeError),
    /// The status was not 2xx.
    #[error("it answered {status}")]
    Status {
        /// The status.
        status: StatusCode,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
}

impl PostError {
    /// Whether another attempt may help, by the OTLP specification.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unanswered(ExchangeError::Unreachable(_) | ExchangeError::Late) => true,
            Self::Status { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }

    /// How long the collector asks to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unanswered(_) => None,
            Self::Status { retry_after, .. } => *retry_after,
        }
    }
}

/// HTTP client of one collector.
pub struct Post {
    client: HttpsClient<Full<Bytes>>,
    url: Uri,
    headers: HeaderMap,
}

impl Post {
    /// A client that trusts the authorities of the settings, or the machine's.
    ///
    /// # Errors
    /// An authority is needed and there is none, or a header's value is not valid.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let secure = settings.url.scheme() == Some(&Scheme::HTTPS);
        let client =
            HttpsClient::keeping(secure, settings.authorities.as_deref(), settings.timeout)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("moongate/", env!("CARGO_PKG_VERSION"))),
        );
        for (name, secret) in &settings.headers {
            headers.insert(name, secret_header(secret)?);
        }
        Ok(Self { client, url: settings.url.clone(), headers })
    }

    /// Posts once. Returns how many spans of the batch the collector rejected.
    ///
    /// # Errors
    /// Why it failed; [`PostError::may_pass`] says whether to try again.
    pub async fn send(&self, body: Bytes) -> Result<u64, PostError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = self.headers.clone();
        self.client.exchange(request, judge).await
    }
}

async fn judge(answer: Response<Incoming>) -> Result<u64, PostError> {
    let (head, body) = answer.into_parts();
    if !head.status.is_success() {
        let retry_after = retry_after(&head.headers, Timestamp::now());
        return Err(PostError::Status { status: head.status, retry_after });
    }
    // A 2xx status means that the spans are accepted, even if the body is unreadable.
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let answer = body.ok().map(|body| ExportTraceServiceResponse::decode(body.to_bytes()));
    let partial = answer.and_then(Result::ok).and_then(|answer| answer.partial_success);
    Ok(partial.and_then(|partial| partial.rejected_spans.try_into().ok()).unwrap_or_default())
}

/// The header in either of its forms: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::parse(text).ok()?.timestamp();
    Some(now.duration_until(at).try_into().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_says_when_in_seconds_or_as_a_date() {
        let now = "2026-11-22T14:26:00Z".parse().unwrap();
        let said = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers, now)
        };
        assert_eq!(said("7"), Some(Duration::from_secs(7)));
        assert_eq!(said("Sun, 22 Nov 2026 14:26:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(said("Sun, 22 Nov 2026 14:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(said("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let status = |status| PostError::Status {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
        };
        assert!([429, 502, 503, 504].into_iter().all(|code| status(code).may_pass()));
        assert!(
            [301, 400, 401, 404, 408, 413, 500, 501]
                .into_iter()
                .all(|code| !status(code).may_pass())
        );
        assert!(PostError::Unanswered(ExchangeError::Late).may_pass());
    }
}
