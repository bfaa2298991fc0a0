//! The public endpoints, cached: models, model configurations and sample images, fetched without a key.
//!
//! Reads: the cache, the upstream. Writes: the cache. Refuses: `upstream_*`, `model_unknown`.
//! Position: a branch above authentication: it costs nothing and shows nothing of any team.

pub mod cache;
pub mod settings;

use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tower::Service;

pub use cache::{Cache, Kept};
pub use settings::Settings;

use crate::clock::Clock;
use crate::http::{Answer, AnswerBody};
use crate::live::Live;
use crate::refusal::Refusal;
use crate::request::route::Catalogue;
use crate::upstream::wire::Failed;
use crate::upstream::{Upstream, Wire};

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

impl Answers {
    async fn answer(&self, question: Catalogue) -> Result<Answer, Refusal> {
        let settings = self.settings.read();
        let now = self.clock.elapsed();
        let kept = self.cache.get(&question);
        if let Some(kept) = kept.as_ref().filter(|kept| now.saturating_sub(kept.at) < settings.fresh_for) {
            return Ok(answer(kept));
        }
        match self.fetch(&question).await {
            Ok(fresh) => {
                let fresh = Kept { at: now, ..fresh };
                if fresh.body.len() as u64 <= settings.bytes_max {
                    self.cache.put(question, fresh.clone());
                }
                Ok(answer(&fresh))
            }
            // A model the upstream no longer knows is gone; anything else is the upstream's trouble, not the caller's.
            Err(refusal @ Refusal::ModelUnknown(_)) => Err(refusal),
            Err(refusal) => kept.as_ref().map(answer).ok_or(refusal),
        }
    }

    async fn fetch(&self, question: &Catalogue) -> Result<Kept, Refusal> {
        let upstream = self.upstream.read();
        let request = request(&upstream.origin.prefix, question)?;
        let received = self.wire.exchange(&upstream.origin, request, upstream.bounds).await.map_err(|failed| {
            tracing::warn!(error = %failed, "the catalogue could not be fetched");
            match failed {
                Failed::Unreachable(_) => Refusal::UpstreamUnreachable,
                Failed::TimedOut => Refusal::UpstreamTimeout,
                Failed::Broken(_) => Refusal::UpstreamBroken,
            }
        })?;
        match (received.head.status, question) {
            (StatusCode::OK, _) => {
                let content_type = received.head.headers.get(CONTENT_TYPE).cloned();
                Ok(Kept { body: received.body, content_type, at: std::time::Duration::ZERO })
            }
            (StatusCode::NOT_FOUND, Catalogue::ModelConfig(model)) => Err(Refusal::ModelUnknown(model.clone())),
            (_, Catalogue::Models | Catalogue::ModelConfig(_) | Catalogue::SampleImages) => {
                Err(Refusal::UpstreamBroken)
            }
        }
    }
}

fn request(prefix: &str, question: &Catalogue) -> Result<Request<Full<Bytes>>, Refusal> {
    let path = match question {
        Catalogue::Models => format!("{prefix}/models"),
        Catalogue::ModelConfig(model) => format!("{prefix}/models-config/{model}"),
        Catalogue::SampleImages => format!("{prefix}/sample-images"),
    };
    Request::get(path)
        .header(ACCEPT, "application/json")
        .header(ACCEPT_ENCODING, "identity")
        .header(USER_AGENT, concat!("moongate/", env!("CARGO_PKG_VERSION")))
        .body(Full::default())
        .map_err(|_| Refusal::Internal)
}

fn answer(kept: &Kept) -> Answer {
    let mut answer = Response::new(AnswerBody::new(kept.body.clone()));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, kept.content_type.clone().unwrap_or(json));
    answer
}
