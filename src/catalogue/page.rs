//! A page of the catalogue: stored form, and answer, which may be 304.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::IgnoredAny;

use super::Settings;
use crate::http::{Answer, AnswerBody, etag};
use crate::refusal::Refusal;

/// The upstream's answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// A page.
    Found(Arc<Found>),
    /// 404.
    Unknown,
}

/// A page that exists.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The bytes.
    pub body: Bytes,
    /// The content type.
    pub content_type: Option<HeaderValue>,
    /// The entity tag, derived from the body, so that all replicas give the same one.
    pub etag: HeaderValue,
}

impl Page {
    /// Bytes of memory it takes.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Found(found) => found.body.len() as u64,
            Self::Unknown => 0,
        }
    }

    /// Accepts only uncompressed JSON, so that an error page of a proxy never becomes the
    /// catalogue.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let is_plain = headers
            .get(CONTENT_ENCODING)
            .is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        if !is_plain || serde_json::from_slice::<IgnoredAny>(body).is_err() {
            tracing::warn!("the upstream's catalogue is not plain JSON");
            return Err(Refusal::UpstreamBroken);
        }
        // Copied, so that the larger buffer of the connection is freed.
        let found = Found::new(Bytes::copy_from_slice(body), headers.get(CONTENT_TYPE).cloned());
        Ok(Self::Found(Arc::new(found)))
    }
}

impl Found {
    pub(super) fn new(body: Bytes, content_type: Option<HeaderValue>) -> Self {
        let etag = etag::etag(&body);
        Self { body, content_type, etag }
    }

    /// The page, or 304 when the caller has it already (RFC 9110, section 13.1.2).
    pub(super) fn answer(&self, request: &HeaderMap, age: Duration, settings: &Settings) -> Answer {
        let is_known = etag::is_known(&self.etag, request);
        let mut answer =
            Answer::new(AnswerBody::new(if is_known { Bytes::new() } else { self.body.clone() }));
        if is_known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = answer.headers_mut();
        headers.insert(ETAG, self.etag.clone());
        headers.insert(AGE, age.as_secs().into());
        // What needs a credential must not be cached for others.
        let whose = if settings.public { "public" } else { "private" };
        let for_so_long =
            HeaderValue::try_from(format!("{whose}, max-age={}", settings.fresh_for.as_secs()));
        headers.insert(
            CACHE_CONTROL,
            for_so_long.unwrap_or_else(|_| HeaderValue::from_static("no-cache")),
        );
        if !is_known {
            let json = HeaderValue::from_static("application/json");
            headers.insert(CONTENT_TYPE, self.content_type.clone().unwrap_or(json));
        }
        answer
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use http::header::IF_NONE_MATCH;

    use crate::catalogue::settings::Fields;

    const FIELDS: Fields = Fields { id: None, price: None, unit: None };
    const SETTINGS: Settings = Settings {
        public: true,
        fresh_for: Duration::from_secs(60),
        bytes_max: 1024,
        fields: FIELDS,
    };

    fn page(body: &'static [u8]) -> Found {
        Found::new(Bytes::from_static(body), None)
    }

    #[test]
    fn only_plain_json_is_a_page() {
        let gzip = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        assert!(Page::read(&HeaderMap::new(), b"{\"models\":[]}").is_ok());
        assert_eq!(Page::read(&gzip, b"{}"), Err(Refusal::UpstreamBroken));
        for body in ["<html>", "", "{", "{} {}"] {
            assert_eq!(
                Page::read(&HeaderMap::new(), body.as_bytes()),
                Err(Refusal::UpstreamBroken),
                "{body}"
            );
        }
    }

    #[test]
    fn who_has_the_page_already_is_only_told_so() {
        let page = page(b"[]");
        let tag = page.etag.to_str().expect("text").to_owned();
        let other = self::page(b"{}").etag.to_str().expect("text").to_owned();
        assert_ne!(tag, other);
        let status = |lines: &[&str]| {
            let lines = lines
                .iter()
                .map(|line| (IF_NONE_MATCH, HeaderValue::try_from(*line).expect("a value")));
            let mut request = HeaderMap::new();
            for (name, value) in lines {
                request.append(name, value);
            }
            page.answer(&request, Duration::from_millis(1999), &SETTINGS)
        };
        let weak = format!("W/{tag}");
        let list = format!("{other} ,{weak}");
        for known in [vec![tag.as_str()], vec![&weak], vec![&list], vec![&other, &tag], vec!["*"]] {
            let answer = status(&known);
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known:?}");
            assert!(
                answer.body().bytes().is_empty() && !answer.headers().contains_key(CONTENT_TYPE)
            );
            assert_eq!(answer.headers()[ETAG], tag.as_str());
            assert_eq!(answer.headers()[AGE], "1");
            assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=60");
        }
        for unknown in [
            vec![],
            vec![""],
            vec![&*other],
            vec![tag.trim_matches('"')],
            vec!["\"*\""],
            vec!["w/*"],
        ] {
            let answer = status(&unknown);
            assert_eq!(
                (answer.status(), &answer.body().bytes()[..]),
                (StatusCode::OK, &b"[]"[..]),
                "{unknown:?}"
            );
            assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
        }
    }

    #[test]
    fn a_page_that_needs_a_credential_is_not_shared() {
        let settings = Settings { public: false, ..SETTINGS };
        let answer = page(b"[]").answer(&HeaderMap::new(), Duration::ZERO, &settings);
        assert_eq!(answer.headers()[CACHE_CONTROL], "private, max-age=60");
    }
}
