//! An answer that is remembered: what its caller was told, or would have been.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::credits::Credits;
use crate::http::{Answer, AnswerBody, IDEMPOTENCY_REPLAYED, X_CREDITS_COST, X_ERROR_SOURCE, X_REQUEST_ID};
use crate::request::RequestId;

/// The headers that are kept. Those that say how limits stood, or how long the call took, were true only once.
const HEADERS: [HeaderName; 4] = [CONTENT_TYPE, CONTENT_ENCODING, X_CREDITS_COST, X_ERROR_SOURCE];

/// A remembered answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The request whose answer it is.
    pub request_id: RequestId,
    /// Its status.
    pub status: StatusCode,
    /// Those of its headers that are still true.
    pub headers: HeaderMap,
    /// What the call was charged.
    pub cost: Credits,
    /// Its body; `None` when it was too large to be kept.
    pub body: Option<Bytes>,
}

/// Everything but the body, as stores write it.
#[derive(Serialize, Deserialize)]
struct Head {
    request_id: String,
    status: u16,
    headers: Vec<(String, String)>,
    cost: Credits,
    /// The body was kept, and is empty: no store keeps a body of no bytes.
    empty: bool,
}

/// What `GET /gateway/v1/requests/{request_id}` answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    request_id: &'a str,
    /// The status the caller was told, or would have been.
    status: u16,
    /// What the call was charged.
    credits_cost: Credits,
    /// The body, when it is JSON and was not too large to be kept.
    answer: Option<&'a RawValue>,
}

impl Kept {
    /// Remembers an answer; its body only when it has at most so many bytes.
    #[must_use]
    pub fn of(answer: &Answer, request_id: RequestId, cost: Credits, bytes_max: u64) -> Self {
        let told = |name: &HeaderName| Some((name.clone(), answer.headers().get(name)?.clone()));
        let body = answer.body().bytes();
        Self {
            request_id,
            status: answer.status(),
            headers: HEADERS.iter().filter_map(told).collect(),
            cost,
            body: (body.len() as u64 <= bytes_max).then(|| body.clone()),
        }
    }

    /// The answer once more, for a call with the same key: status, body and headers of the first, its request id among
    /// them. Where the body was not kept, the body is the outcome: see [`Kept::outcome`].
    #[must_use]
    pub fn replayed(self) -> Answer {
        let outcome = self.body.is_none().then(|| self.outcome());
        let mut headers = self.headers;
        if outcome.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.remove(CONTENT_ENCODING);
        }
        headers.insert(X_REQUEST_ID, self.request_id.to_header());
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        let body = self.body.or(outcome.map(Bytes::from)).unwrap_or_default();
        let mut answer = Answer::new(AnswerBody::new(body));
        *answer.status_mut() = self.status;
        *answer.headers_mut() = headers;
        answer
    }

    /// The outcome as JSON: `{"requestId": …, "status": 200, "creditsCost": 0.025, "answer": …}`. `answer` is the stored
    /// body as it is; `null` when it is no JSON, or was too large to be kept.
    #[must_use]
    pub fn outcome(&self) -> Vec<u8> {
        let answer = self.body.as_deref().and_then(|body| serde_json::from_slice::<&RawValue>(body).ok());
        let outcome = Outcome {
            request_id: self.request_id.as_str(),
            status: self.status.as_u16(),
            credits_cost: self.cost,
            answer,
        };
        // Numbers, texts and what was read as JSON always have a JSON form.
        serde_json::to_vec(&outcome).unwrap_or_default()
    }

    /// Everything but the body, for a store.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        let head = Head {
            request_id: self.request_id.to_string(),
            status: self.status.as_u16(),
            headers: self.headers.iter().filter_map(text).collect(),
            cost: self.cost,
            empty: self.body.as_ref().is_some_and(Bytes::is_empty),
        };
        serde_json::to_vec(&head).unwrap_or_default()
    }

    /// Puts together what a store kept. `None` when it is nothing that [`Kept::head`] wrote.
    #[must_use]
    pub fn read(head: &[u8], body: Option<Bytes>) -> Option<Self> {
        let head: Head = serde_json::from_slice(head).ok()?;
        let header = |(name, value): &(String, String)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::from_str(value).ok()?))
        };
        Some(Self {
            request_id: RequestId::parse(&head.request_id)?,
            status: StatusCode::from_u16(head.status).ok()?,
            headers: head.headers.iter().map(header).collect::<Option<_>>()?,
            cost: head.cost,
            body: if head.empty { Some(Bytes::new()) } else { body },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::http::X_CREDITS_REMAINING;

    fn kept(body: &'static str, bytes_max: u64) -> Kept {
        let mut answer = Answer::new(AnswerBody::new(body));
        *answer.status_mut() = StatusCode::CREATED;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(X_CREDITS_COST, HeaderValue::from_static("0.025"));
        headers.insert(X_CREDITS_REMAINING, HeaderValue::from_static("7"));
        Kept::of(&answer, RequestId::parse("r-1").unwrap(), Credits::from_micros(25_000), bytes_max)
    }

    #[test]
    fn a_store_gives_back_what_it_was_given() {
        for body in [r#"{"images":[]}"#, "", "not JSON"] {
            let kept = kept(body, 100);
            // A store that is given no bytes has none to give back.
            let stored = kept.body.clone().filter(|body| !body.is_empty());
            assert_eq!(Kept::read(&kept.head(), stored), Some(kept));
        }
        assert_eq!(Kept::read(b"{}", None), None);
    }

    #[test]
    fn a_replayed_answer_is_the_first_one_and_says_that_it_is_replayed() {
        let answer = kept(r#"{"images":[]}"#, 100).replayed();
        assert_eq!(answer.status(), StatusCode::CREATED);
        assert_eq!(answer.body().bytes(), r#"{"images":[]}"#);
        let headers = answer.headers();
        assert_eq!(
            (&headers[IDEMPOTENCY_REPLAYED], &headers[X_REQUEST_ID]),
            (&"true".parse().unwrap(), &"r-1".parse().unwrap())
        );
        assert_eq!(
            (&headers[CONTENT_TYPE], &headers[X_CREDITS_COST]),
            (&"application/json; charset=utf-8".parse().unwrap(), &"0.025".parse().unwrap())
        );
        assert!(!headers.contains_key(X_CREDITS_REMAINING), "that was true only then");
    }

    #[test]
    fn of_a_body_that_is_too_large_the_outcome_is_kept() {
        let kept = kept(r#"{"images":[]}"#, 3);
        assert_eq!(kept.body, None);
        let answer = kept.replayed();
        assert_eq!(answer.status(), StatusCode::CREATED);
        assert_eq!(answer.body().bytes(), r#"{"requestId":"r-1","status":201,"creditsCost":0.025,"answer":null}"#);
    }

    #[test]
    fn the_outcome_holds_the_answer_as_it_is() {
        let outcome = |body| String::from_utf8(kept(body, 100).outcome()).unwrap();
        let start = r#"{"requestId":"r-1","status":201,"creditsCost":0.025,"answer":"#;
        assert_eq!(outcome(r#"{"seed": 1.50}"#), format!("{start}{}}}", r#"{"seed": 1.50}"#));
        assert_eq!(outcome("<html>"), format!("{start}null}}"));
    }
}
