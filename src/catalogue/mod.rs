//! The public endpoints, cached: models, model configurations and sample images, fetched without a key.
//!
//! Reads: the cache, the upstream. Writes: the cache. Refuses: `upstream_*`, `model_unknown`, `overloaded`.
//! Position: a branch above authentication: it costs nothing and shows nothing of any team.

pub mod cache;
pub mod settings;

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::de::IgnoredAny;
use tower::Service;

pub use cache::{Cache, Flight, Kept, Page};
pub use settings::Settings;

use crate::clock::Clock;
use crate::http::{Answer, AnswerBody};
use crate::live::Live;
use crate::refusal::Refusal;
use crate::request::route::Catalogue;
use crate::upstream::wire::Failed;
use crate::upstream::{Upstream, Wire, unpaid};

/// Answers the public catalogue.
#[derive(Clone)]
pub struct Answers {
    cache: Cache,
    wire: Wire,
    upstream: Live<Upstream>,
    settings: Live<Settings>,
    clock: Clock,
}

impl Answers {
    /// Answers from this cache, and over this worker's wire when it has none.
    #[must_use]
    pub const fn new(
        cache: Cache,
        wire: Wire,
        upstream: Live<Upstream>,
        settings: Live<Settings>,
        clock: Clock,
    ) -> Self {
        Self { cache, wire, upstream, settings, clock }
    }
}

impl Service<Catalogue> for Answers {
    type Response = Answer;
    type Error = Refusal;
    type Future = BoxFuture<'static, Result<Answer, Refusal>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, question: Catalogue) -> Self::Future {
        let answers = self.clone();
        Box::pin(async move { answers.answer(question).await })
    }
}

/// The longest that a question to the upstream takes, however long paid calls may.
const FETCH_MAX: Duration = Duration::from_secs(5);

impl Answers {
    /// What is kept is served at once; when it is stale, it is asked for again meanwhile.
    async fn answer(&self, question: Catalogue) -> Result<Answer, Refusal> {
        let page = match self.cache.get(&question) {
            Some(kept) => {
                if self.clock.elapsed().saturating_sub(kept.at) >= self.settings.read().fresh_for {
                    // Its end is nobody's to wait for; too many at once only means that this one is asked for later.
                    drop(self.refresh(&question));
                }
                kept.page
            }
            None => self.refresh(&question)?.await?,
        };
        match (page, question) {
            (Page::Found(body, content_type), _) => Ok(answer(body, content_type)),
            (Page::Unknown, Catalogue::ModelConfig(model)) => Err(Refusal::ModelUnknown(model)),
            (Page::Unknown, Catalogue::Models | Catalogue::SampleImages) => Err(Refusal::UpstreamBroken),
        }
    }

    fn refresh(&self, question: &Catalogue) -> Result<Flight, Refusal> {
        let (answers, asked) = (self.clone(), question.clone());
        self.cache.fly(question.clone(), async move {
            let fetched = tokio::time::timeout(FETCH_MAX, answers.fetch(&asked)).await;
            let page = fetched.unwrap_or(Err(Refusal::UpstreamTimeout))?;
            let bytes = if let Page::Found(body, _) = &page { body.len() as u64 } else { 0 };
            if bytes <= answers.settings.read().bytes_max {
                answers.cache.put(asked, Kept { page: page.clone(), at: answers.clock.elapsed() });
            }
            Ok(page)
        })
    }

    async fn fetch(&self, question: &Catalogue) -> Result<Page, Refusal> {
        let upstream = self.upstream.read();
        let request = unpaid::get(&upstream.origin, &path(question)).map_err(|_| Refusal::Internal)?;
        let received = self.wire.exchange(&upstream.origin, request, upstream.bounds).await.map_err(|failed| {
            tracing::warn!(error = %failed, "the catalogue could not be fetched");
            match failed {
                Failed::Unreachable(_) | Failed::NoPlace => Refusal::UpstreamUnreachable,
                Failed::TimedOut => Refusal::UpstreamTimeout,
                Failed::Broken(_) | Failed::TooLarge(_) => Refusal::UpstreamBroken,
            }
        })?;
        match (received.head.status, question) {
            (StatusCode::OK, _) => page(&received.head.headers, &received.body),
            (StatusCode::NOT_FOUND, Catalogue::ModelConfig(_)) => Ok(Page::Unknown),
            (_, Catalogue::Models | Catalogue::ModelConfig(_) | Catalogue::SampleImages) => {
                Err(Refusal::UpstreamBroken)
            }
        }
    }
}

/// Only JSON, in plain, is kept and served: a proxy's page in between must not stand for the catalogue.
fn page(headers: &HeaderMap, body: &[u8]) -> Result<Page, Refusal> {
    let is_plain =
        headers.get(CONTENT_ENCODING).is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !is_plain || serde_json::from_slice::<IgnoredAny>(body).is_err() {
        tracing::warn!("the upstream's catalogue is not plain JSON");
        return Err(Refusal::UpstreamBroken);
    }
    // A copy, so that what is kept does not keep the wire's larger buffer.
    Ok(Page::Found(Bytes::copy_from_slice(body), headers.get(CONTENT_TYPE).cloned()))
}

fn path(question: &Catalogue) -> String {
    match question {
        Catalogue::Models => "/models".to_owned(),
        Catalogue::ModelConfig(model) => format!("/models-config/{model}"),
        Catalogue::SampleImages => "/sample-images".to_owned(),
    }
}

fn answer(body: Bytes, content_type: Option<HeaderValue>) -> Answer {
    let mut answer = Response::new(AnswerBody::new(body));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, content_type.unwrap_or(json));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_json_is_a_page() {
        let gzip = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        assert!(page(&HeaderMap::new(), b"{\"models\":[]}").is_ok());
        assert_eq!(page(&gzip, b"{}"), Err(Refusal::UpstreamBroken));
        for body in ["<html>", "", "{", "{} {}"] {
            assert_eq!(page(&HeaderMap::new(), body.as_bytes()), Err(Refusal::UpstreamBroken), "{body}");
        }
    }
}
