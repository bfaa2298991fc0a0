//! A page of the catalogue: what is kept of it, and how it is answered, or only that the caller's copy is still good.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use super::Settings;
use crate::http::{Answer, AnswerBody};
use crate::refusal::Refusal;

/// What the upstream said to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// An answer.
    Found(Arc<Found>),
    /// There is no such thing.
    Unknown,
}

/// A page that there is.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Byte for byte.
    pub body: Bytes,
    /// Its content type.
    pub content_type: Option<HeaderValue>,
    /// Its entity tag: another body has another, and every replica gives the same body the same.
    pub etag: HeaderValue,
}

impl Page {
    /// How much of the memory it takes.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Found(found) => found.body.len() as u64,
            Self::Unknown => 0,
        }
    }

    /// Only JSON, in plain, is kept and served: a proxy's page in between must not stand for the catalogue.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let is_plain =
            headers.get(CONTENT_ENCODING).is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        if !is_plain || serde_json::from_slice::<IgnoredAny>(body).is_err() {
            tracing::warn!("the upstream's catalogue is not plain JSON");
            return Err(Refusal::UpstreamBroken);
        }
        // A copy, so that what is kept does not keep the wire's larger buffer.
        let found = Found::new(Bytes::copy_from_slice(body), headers.get(CONTENT_TYPE).cloned());
        Ok(Self::Found(Arc::new(found)))
    }
}

impl Found {
    pub(super) fn new(body: Bytes, content_type: Option<HeaderValue>) -> Self {
        let digest: String = Sha256::digest(&body).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::try_from(format!("\"{digest}\""));
        Self { body, content_type, etag: etag.unwrap_or_else(|_| HeaderValue::from_static("\"\"")) }
    }

    /// The page, or 304 when the caller has it already (RFC 9110, section 13.1.2).
    pub(super) fn answer(&self, asked: &HeaderMap, age: Duration, settings: &Settings) -> Answer {
        let is_known = self.is_known_to(asked);
        let mut answer = Answer::new(AnswerBody::new(if is_known { Bytes::new() } else { self.body.clone() }));
        if is_known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = answer.headers_mut();
        headers.insert(ETAG, self.etag.clone());
        headers.insert(AGE, age.as_secs().into());
        // What asks for a credential is nobody else's to keep.
        let whose = if settings.public { "public" } else { "private" };
        let for_so_long = HeaderValue::try_from(format!("{whose}, max-age={}", settings.fresh_for.as_secs()));
        headers.insert(CACHE_CONTROL, for_so_long.unwrap_or_else(|_| HeaderValue::from_static("no-cache")));
        if !is_known {
            let json = HeaderValue::from_static("application/json");
            headers.insert(CONTENT_TYPE, self.content_type.clone().unwrap_or(json));
        }
        answer
    }

    /// Whether one of the tags that the caller has is this page's; compared weakly, as is meant for GET.
    fn is_known_to(&self, asked: &HeaderMap) -> bool {
        let own = self.etag.as_bytes();
        asked.get_all(IF_NONE_MATCH).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).any(|tag| {
            // Our own tags have no comma in them: one that is cut in two here is not ours.
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == own
        })
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use crate::catalogue::settings::Fields;

    const FIELDS: Fields = Fields { id: None, price: None, unit: None };
    const SETTINGS: Settings =
        Settings { public: true, fresh_for: Duration::from_secs(60), bytes_max: 1024, fields: FIELDS };

    fn page(body: &'static [u8]) -> Found {
        Found::new(Bytes::from_static(body), None)
    }

    #[test]
    fn only_plain_json_is_a_page() {
        let gzip = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        assert!(Page::read(&HeaderMap::new(), b"{\"models\":[]}").is_ok());
        assert_eq!(Page::read(&gzip, b"{}"), Err(Refusal::UpstreamBroken));
        for body in ["<html>", "", "{", "{} {}"] {
            assert_eq!(Page::read(&HeaderMap::new(), body.as_bytes()), Err(Refusal::UpstreamBroken), "{body}");
        }
    }

    #[test]
    fn who_has_the_page_already_is_only_told_so() {
        let page = page(b"[]");
        let tag = page.etag.to_str().expect("text").to_owned();
        let other = self::page(b"{}").etag.to_str().expect("text").to_owned();
        assert_ne!(tag, other);
        let status = |lines: &[&str]| {
            let lines = lines.iter().map(|line| (IF_NONE_MATCH, HeaderValue::try_from(*line).expect("a value")));
            let mut asked = HeaderMap::new();
            for (name, value) in lines {
                asked.append(name, value);
            }
            page.answer(&asked, Duration::from_millis(1999), &SETTINGS)
        };
        let weak = format!("W/{tag}");
        let list = format!("{other} ,{weak}");
        for known in [vec![tag.as_str()], vec![&weak], vec![&list], vec![&other, &tag], vec!["*"]] {
            let answer = status(&known);
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known:?}");
            assert!(answer.body().bytes().is_empty() && !answer.headers().contains_key(CONTENT_TYPE));
            assert_eq!(answer.headers()[ETAG], tag.as_str());
            assert_eq!(answer.headers()[AGE], "1");
            assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=60");
        }
        for unknown in [vec![], vec![""], vec![&*other], vec![tag.trim_matches('"')], vec!["\"*\""], vec!["w/*"]] {
            let answer = status(&unknown);
            assert_eq!((answer.status(), &answer.body().bytes()[..]), (StatusCode::OK, &b"[]"[..]), "{unknown:?}");
            assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
        }
    }

    #[test]
    fn a_page_that_needs_a_credential_is_kept_for_nobody_else() {
        let settings = Settings { public: false, ..SETTINGS };
        let answer = page(b"[]").answer(&HeaderMap::new(), Duration::ZERO, &settings);
        assert_eq!(answer.headers()[CACHE_CONTROL], "private, max-age=60");
    }
}
