//! The stored answer of a call, which its caller got or would have got.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::credits::Credits;
use crate::http::{
    Answer, AnswerBody, IDEMPOTENCY_REPLAYED, X_CALL_ID, X_ERROR_SOURCE, X_REQUEST_ID,
};
use crate::ledger::{Outcome, ReservationId};
use crate::model::ModelId;
use crate::request::RequestId;

/// Headers that are stored. Those about limits, cost and time are left out, because they were true
/// only once.
const HEADERS: [HeaderName; 3] = [CONTENT_TYPE, CONTENT_ENCODING, X_ERROR_SOURCE];

/// A remembered answer.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredResponse {
    /// The call; `None` when a version that gave calls no id stored it.
    pub call: Option<Call>,
    /// Id of the request.
    pub request_id: RequestId,
    /// The status.
    pub status: StatusCode,
    /// Headers that are stored with it.
    pub headers: HeaderMap,
    /// What the call was charged.
    pub cost: Credits,
    /// Body; `None` when it was too large to be stored.
    pub body: Option<Bytes>,
}

/// Id of a call, and its outcome in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Own id.
    pub id: ReservationId,
    /// The model.
    pub model: ModelId,
    /// How it ended.
    pub outcome: Outcome,
}

/// A stored answer without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The call.
    pub call: Call,
    /// Id of the request.
    pub request_id: RequestId,
    /// The status of its answer.
    pub status: StatusCode,
    /// What it was charged.
    pub cost: Credits,
    /// Size of the body in bytes; `None` when it is not stored.
    pub body_bytes: Option<u64>,
}

/// All but the body, as stores write it.
#[derive(Serialize, Deserialize)]
struct Head {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call: Option<CallHead>,
    request_id: String,
    status: u16,
    headers: Vec<(String, String)>,
    cost: Credits,
    /// The body is empty. Noted here, because no store keeps an empty body.
    empty: bool,
}

/// The headers of an answer that are stored.
pub(super) fn kept_headers(headers: &HeaderMap) -> [Option<(HeaderName, HeaderValue)>; 3] {
    HEADERS.map(|name| headers.get(&name).cloned().map(|value| (name, value)))
}

#[derive(Serialize, Deserialize)]
struct CallHead {
    id: ReservationId,
    model: String,
    outcome: Outcome,
}

impl StoredResponse {
    /// The stored form of an answer; without its body if that is larger than `bytes_max`.
    #[must_use]
    pub fn of(
        answer: &Answer,
        call: Call,
        (request_id, cost): (RequestId, Credits),
        bytes_max: u64,
    ) -> Self {
        let body = answer.body().bytes();
        Self {
            call: Some(call),
            request_id,
            status: answer.status(),
            headers: kept_headers(answer.headers()).into_iter().flatten().collect(),
            cost,
            body: (body.len() as u64 <= bytes_max).then(|| body.clone()),
        }
    }

    /// The answer for a repeated call: status, body and headers of the first one, its ids included.
    /// `None` when the body is not stored, since anything else would be another answer.
    #[must_use]
    pub fn replayed(self) -> Option<Answer> {
        let mut answer = Answer::new(AnswerBody::new(self.body?));
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers;
        let headers = answer.headers_mut();
        headers.insert(X_REQUEST_ID, self.request_id.to_header());
        if let Some(call) = &self.call {
            headers.insert(X_CALL_ID, call.id.to_header());
        }
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        Some(answer)
    }

    /// The body as it is; `None` when it is not stored or not JSON.
    #[must_use]
    pub fn json(&self) -> Option<&RawValue> {
        serde_json::from_slice(self.body.as_deref()?).ok()
    }

    /// The answer without its body. `None` when its call has no id.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let body_bytes = self.body.as_ref().map(|body| body.len() as u64);
        let (request_id, status, cost) = (self.request_id.clone(), self.status, self.cost);
        Some(Summary { call: self.call.clone()?, request_id, status, cost, body_bytes })
    }

    /// All but the body, for a store.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        let head = Head {
            call: self.call.as_ref().map(|call| CallHead {
                id: call.id,
                model: call.model.to_string(),
                outcome: call.outcome,
            }),
            request_id: self.request_id.to_string(),
            status: self.status.as_u16(),
            headers: self.headers.iter().filter_map(text).collect(),
            cost: self.cost,
            empty: self.body.as_ref().is_some_and(Bytes::is_empty),
        };
        serde_json::to_vec(&head).unwrap_or_default()
    }

    /// Parses what a store kept. `None` when [`StoredResponse::head`] did not write it.
    #[must_use]
    pub fn read(head: &[u8], body: Option<Bytes>) -> Option<Self> {
        let head: Head = serde_json::from_slice(head).ok()?;
        let header = |(name, value): &(String, String)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::from_str(value).ok()?))
        };
        Some(Self {
            call: match head.call {
                Some(CallHead { id, model, outcome }) => {
                    Some(Call { id, model: ModelId::parse(&model)?, outcome })
                }
                None => None,
            },
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
    use crate::http::{X_CREDITS_COST, X_CREDITS_REMAINING};

    const CALL: &str = "0193a1b2c3d47e5f8a9b0c1d2e3f4a5b";

    fn kept(body: &'static str, bytes_max: u64) -> StoredResponse {
        let mut answer = Answer::new(AnswerBody::new(body));
        *answer.status_mut() = StatusCode::CREATED;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(X_CREDITS_COST, HeaderValue::from_static("0.025"));
        headers.insert(X_CREDITS_REMAINING, HeaderValue::from_static("7"));
        let call = Call {
            id: CALL.parse().unwrap(),
            model: ModelId::parse("flux/dev").unwrap(),
            outcome: Outcome::Charged,
        };
        StoredResponse::of(
            &answer,
            call,
            (RequestId::parse("r-1").unwrap(), Credits::from_micros(25_000)),
            bytes_max,
        )
    }

    #[test]
    fn a_store_gives_back_what_it_was_given() {
        for body in [r#"{"images":[]}"#, "", "not JSON"] {
            let kept = kept(body, 100);
            // Stores do not keep an empty body.
            let stored = kept.body.clone().filter(|body| !body.is_empty());
            assert_eq!(StoredResponse::read(&kept.head(), stored), Some(kept));
        }
        assert_eq!(StoredResponse::read(b"{}", None), None);
    }

    #[test]
    fn answers_stored_before_calls_had_ids_can_still_be_replayed() {
        let head = br#"{
            "request_id": "r-1", "status": 200, "headers": [["x-credits-cost", "0.025"]],
            "cost": 0.025, "empty": false
        }"#;
        let kept = StoredResponse::read(head, Some(Bytes::from_static(b"{}"))).unwrap();
        assert_eq!((&kept.call, kept.summary()), (&None, None));
        assert!(!kept.replayed().unwrap().headers().contains_key(X_CALL_ID));
    }

    #[test]
    fn a_replayed_answer_is_the_first_and_says_so() {
        let answer = kept(r#"{"images":[]}"#, 100).replayed().unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        assert_eq!(answer.body().bytes(), r#"{"images":[]}"#);
        let headers = answer.headers();
        assert_eq!(
            (&headers[IDEMPOTENCY_REPLAYED], &headers[X_REQUEST_ID]),
            (&"true".parse().unwrap(), &"r-1".parse().unwrap())
        );
        assert_eq!(
            (&headers[CONTENT_TYPE], &headers[X_CALL_ID]),
            (&"application/json; charset=utf-8".parse().unwrap(), &CALL.parse().unwrap())
        );
        for once in [X_CREDITS_COST, X_CREDITS_REMAINING] {
            assert!(!headers.contains_key(&once), "{once} was true only then");
        }
    }

    #[test]
    fn of_an_oversized_body_only_the_outcome_is_kept() {
        let kept = kept(r#"{"images":[]}"#, 3);
        assert_eq!((kept.body.as_ref(), kept.status), (None, StatusCode::CREATED));
        assert_eq!(kept.summary().unwrap().body_bytes, None);
        assert!(kept.replayed().is_none());
    }

    #[test]
    fn a_body_that_is_json_is_shown_as_it_is() {
        let shown = |body| kept(body, 100).json().map(|json| json.get().to_owned());
        assert_eq!(shown(r#"{"seed": 1.50}"#), Some(r#"{"seed": 1.50}"#.to_owned()));
        assert_eq!(shown("<html>"), None);
    }
}
