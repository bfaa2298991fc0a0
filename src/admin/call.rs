//! Request and result of a page in the operator's API.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::http::{Answer, AnswerBody};
use crate::json::wrong_body;
use crate::printable;
use crate::refusal::Refusal;
use crate::team::{KeyId, TeamId};

/// Largest body of a change, in bytes: a hundred times what any needs.
pub const BODY_BYTES_MAX: u64 = 64 * 1024;
/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// The parameters of a path, by name.
pub type Parameters = Vec<(&'static str, String)>;

/// A request for a page, after the checks that all pages share.
#[derive(Debug)]
pub struct Call {
    parameters: Parameters,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    /// A request for a page that accepts these query parameters.
    ///
    /// # Errors
    /// `invalid_request`: an unknown or repeated parameter.
    pub(super) fn new(
        known: &[&str],
        parameters: Parameters,
        query: Option<&str>,
    ) -> Result<Self, Refusal> {
        let mut problems = Vec::new();
        let mut read: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                problems.push(format!("the page has no parameter {name:?}"));
            } else if read.iter().any(|(seen, _)| *seen == name) {
                problems.push(format!("the parameter {name} is given twice"));
            }
            read.push((name.into_owned(), value.into_owned()));
        }
        if problems.is_empty() {
            Ok(Self { parameters, query: read, body: Bytes::new() })
        } else {
            Err(Refusal::InvalidRequest(problems))
        }
    }

    /// The same request with its body.
    ///
    /// # Errors
    /// `media_type_unsupported`, `body_too_large`, `body_timeout`; `invalid_body` for one that
    /// broke off.
    pub(super) async fn with_body<B>(self, headers: &HeaderMap, body: B) -> Result<Self, Refusal>
    where
        B: Body<Data = Bytes, Error: Into<tower::BoxError>>,
    {
        let too_large = Refusal::BodyTooLarge { bytes_max: BODY_BYTES_MAX };
        let declared =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
            return Err(too_large);
        }
        let bytes_max = usize::try_from(BODY_BYTES_MAX).unwrap_or(usize::MAX);
        let collected =
            tokio::time::timeout(BODY_WITHIN, Limited::new(body, bytes_max).collect()).await;
        let body = match collected.map_err(|_| Refusal::BodyTimeout)? {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large),
            Err(_) => return Err(Refusal::InvalidBody(vec!["the body was cut short".to_owned()])),
        };
        if !body.is_empty() && !is_plain_json(headers) {
            return Err(Refusal::MediaTypeUnsupported);
        }
        Ok(Self { body, ..self })
    }

    /// The team in the path, which may not exist.
    ///
    /// # Errors
    /// `team_not_found`: the name is not valid.
    pub fn team(&self) -> Result<TeamId, Refusal> {
        TeamId::parse(self.parameter("team")).ok_or(Refusal::TeamNotFound)
    }

    /// The gateway key in the path, which may not exist.
    ///
    /// # Errors
    /// `key_not_found`: the id is not valid.
    pub fn key(&self) -> Result<KeyId, Refusal> {
        KeyId::parse(self.parameter("key")).ok_or(Refusal::KeyNotFound)
    }

    /// A parameter of the path that is the id of a call or of a request.
    #[must_use]
    pub fn id(&self) -> &str {
        self.parameter("id")
    }

    fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// The value of a query parameter that the table of routes lists.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body, parsed; a missing body is `{}`.
    ///
    /// # Errors
    /// `invalid_body`, with the problem.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let bytes = if self.body.is_empty() { b"{}" } else { self.body.as_ref() };
        serde_json::from_slice(bytes)
            .map_err(|wrong| Refusal::InvalidBody(vec![wrong_body(bytes, &wrong)]))
    }
}

fn is_plain_json(headers: &HeaderMap) -> bool {
    let essence =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    let plain = headers
        .get(CONTENT_ENCODING)
        .is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    plain && essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// Result of a change: the audit line's content and the answer.
#[derive(Debug)]
pub struct Changed {
    /// What was changed: `team design`, `key k7Qp2mZr9aBc`.
    pub subject: String,
    /// State before; `null` if it did not exist. Never a secret.
    pub before: Value,
    /// State after, in the same shape. Never a secret.
    pub after: Value,
    /// The answer; a refusal when it is unknown whether the change was made.
    pub answer: Result<Answer, Refusal>,
}

/// A JSON answer.
///
/// # Errors
/// `internal`: the value has no JSON form, which is a bug.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Answer, Refusal> {
    printable::to_json(value)
        .map(|body| page(status, "application/json", body))
        .map_err(|_| Refusal::Internal)
}

/// An answer of any media type.
#[must_use]
pub fn page(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Answer::new(AnswerBody::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use std::collections::BTreeMap;

    use http_body_util::Full;

    use super::*;

    fn parsed(query: &str) -> Result<Call, Refusal> {
        Call::new(&["team", "period"], Parameters::new(), Some(query))
    }

    #[test]
    fn a_query_is_decoded_and_unknown_parameters_are_refused() {
        let call = parsed("team=a%20b&period=").expect("a good query");
        assert_eq!((call.query("team"), call.query("period")), (Some("a b"), Some("")));
        assert_eq!(parsed("").expect("no query").query("team"), None);
        let problems = vec![
            "the page has no parameter \"tem\"".to_owned(),
            "the parameter team is given twice".to_owned(),
        ];
        assert_eq!(parsed("tem=1&team=2&team=3").err(), Some(Refusal::InvalidRequest(problems)));
    }

    async fn sent(headers: &[(&str, &str)], body: &'static str) -> Result<Call, Refusal> {
        let named = |(name, value): &(&str, &str)| {
            (
                name.parse::<http::HeaderName>().expect("a name"),
                value.parse::<HeaderValue>().expect("a value"),
            )
        };
        let headers = headers.iter().map(named).collect();
        parsed("").expect("no query").with_body(&headers, Full::new(Bytes::from(body))).await
    }

    #[tokio::test]
    async fn a_body_is_json_of_a_bounded_size_or_none() {
        let json = ("content-type", "application/json; charset=utf-8");
        let body: Value =
            sent(&[json], "{\"a\":1}").await.expect("JSON").body().expect("an object");
        assert_eq!(body["a"], 1);
        assert_eq!(sent(&[], "").await.expect("none").body::<Value>(), Ok(serde_json::json!({})));
        for headers in
            [&[][..], &[("content-type", "text/plain")], &[json, ("content-encoding", "gzip")]]
        {
            assert_eq!(
                sent(headers, "{}").await.err(),
                Some(Refusal::MediaTypeUnsupported),
                "{headers:?}"
            );
        }
        let too_large = Some(Refusal::BodyTooLarge { bytes_max: BODY_BYTES_MAX });
        assert_eq!(sent(&[json, ("content-length", "65537")], "{}").await.err(), too_large);
        let long: &'static str = Box::leak("x".repeat(65_537).into_boxed_str());
        assert_eq!(sent(&[json], long).await.err(), too_large);
        let broken = sent(&[json], "{\"a\":").await.expect("bytes").body::<Value>();
        let refusal = |problem: &str| Some(Refusal::InvalidBody(vec![problem.to_owned()]));
        assert_eq!(broken.err(), refusal("the body is not valid JSON"));
        let list = sent(&[json], "3").await.expect("bytes").body::<BTreeMap<String, u8>>();
        assert_eq!(list.err(), refusal("the body must be one JSON object"));
        let text =
            sent(&[json], "{\"a\":\"x\"}").await.expect("bytes").body::<BTreeMap<String, u8>>();
        assert_eq!(text.err(), refusal("invalid type: string \"x\", expected u8"));
    }
}
