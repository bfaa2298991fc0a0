//! The public endpoints, cached: models, model configurations and sample images, fetched without a key.
//!
//! Reads: the cache, the upstream, the price table's ids. Writes: the cache. Refuses: `upstream_*`, `model_unknown`,
//! `rate_limited`, `overloaded`. Position: a branch above authentication: it costs nothing and shows nothing of any
//! team. Whoever asks may be a stranger, so what it makes the upstream do is bounded: [`cache`] (each question once at
//! a time, and kept), [`listing`] (only models that there are), [`misses`] (how often at all). [`page`] is how it is
//! answered, [`watch`] holds the upstream's prices against ours.

pub mod cache;
pub mod listing;
pub mod misses;
pub mod page;
pub mod settings;
pub mod watch;

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::StatusCode;
use jiff::Timestamp;
use tower::Service;

pub use cache::{Cache, CachedPage, Flight};
pub use misses::Misses;
pub use page::Page;
pub use settings::{Fields, Settings};

use self::cache::Recalled;
use self::misses::Beyond;
use self::page::Found;
use crate::clock::Clock;
use crate::http::Answer;
use crate::live::Live;
use crate::model::ModelId;
use crate::pricing::PriceTable;
use crate::refusal::Refusal;
use crate::request::lookup::Lookup;
use crate::request::origin::TrustedProxies;
use crate::request::route::Catalogue;
use crate::upstream::client::Failed;
use crate::upstream::{Upstream, UpstreamClient, unpaid};

/// What the catalogue is answered from.
#[derive(Clone)]
pub struct Parts {
    /// What is kept.
    pub cache: Cache,
    /// What is asked beyond that.
    pub misses: Misses,
    /// Connections to the upstream.
    pub wire: UpstreamClient,
    /// Where that is.
    pub upstream: Live<Upstream>,
    /// How it is served.
    pub settings: Live<Settings>,
    /// The models that have a price exist, whatever the list says.
    pub prices: Live<PriceTable>,
    /// Whose word counts on where a request comes from.
    pub proxies: Arc<TrustedProxies>,
    /// The time.
    pub clock: Clock,
}

/// Answers the public catalogue.
#[derive(Clone)]
pub struct Answers(Parts);

impl Answers {
    /// Answers from these parts.
    #[must_use]
    pub const fn new(parts: Parts) -> Self {
        Self(parts)
    }
}

impl Service<Lookup> for Answers {
    type Response = Answer;
    type Error = Refusal;
    type Future = BoxFuture<'static, Result<Answer, Refusal>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, lookup: Lookup) -> Self::Future {
        let answers = self.clone();
        Box::pin(async move { answers.answer(lookup).await })
    }
}

/// The longest that a question to the upstream takes, however long paid calls may.
const FETCH_MAX: Duration = Duration::from_secs(5);

/// What is known of a model without asking for it.
enum Existence {
    Known,
    Unknown,
    /// The list of models cannot be read.
    Uncertain,
}

impl Answers {
    async fn answer(&self, lookup: Lookup) -> Result<Answer, Refusal> {
        let Lookup { question, peer, headers } = lookup;
        let from = || self.0.proxies.origin(peer, &headers);
        let kept = self.kept(&question, from).await?;
        match (kept.page, question) {
            (Page::Found(found), _) => {
                let age = self.0.clock.elapsed().saturating_sub(kept.at);
                Ok(found.answer(&headers, age, &self.0.settings.read()))
            }
            (Page::Unknown, Catalogue::ModelConfig(model)) => Err(Refusal::ModelUnknown(model)),
            (Page::Unknown, Catalogue::Models | Catalogue::SampleImages) => Err(Refusal::UpstreamBroken),
        }
    }

    /// What is kept is served at once; when it is stale, it is asked for again meanwhile.
    async fn kept(&self, question: &Catalogue, from: impl Fn() -> IpAddr) -> Result<CachedPage, Refusal> {
        let now = self.0.clock.elapsed();
        match self.0.cache.recall(question, now) {
            Recalled::Kept(kept) => {
                self.refresh(question, &kept, now);
                Ok(kept)
            }
            Recalled::Failed(why) => Err(why),
            Recalled::Nothing => {
                let Catalogue::ModelConfig(model) = question else { return self.ask(question, None)?.await };
                match self.existence(model).await {
                    Existence::Known => self.ask(question, None)?.await,
                    Existence::Unknown => Err(Refusal::ModelUnknown(model.clone())),
                    Existence::Uncertain => self.ask(question, Some(from()))?.await,
                }
            }
        }
    }

    /// Asks again for what is stale. Its end is nobody's to wait for; too many at once only means that this one is
    /// asked later.
    fn refresh(&self, question: &Catalogue, kept: &CachedPage, now: Duration) {
        let is_stale = now.saturating_sub(kept.at) >= self.0.settings.read().fresh_for;
        if is_stale && self.0.cache.may_ask_again(question, now) {
            drop(self.fly(question, || Ok(())));
        }
    }

    /// Whether there is such a model: it has a price, or stands in the list, which is fetched for that when it must be.
    async fn existence(&self, model: &ModelId) -> Existence {
        if self.0.prices.read().models.contains_key(model) {
            return Existence::Known;
        }
        let now = self.0.clock.elapsed();
        match self.0.cache.recall(&Catalogue::Models, now) {
            Recalled::Kept(list) => self.refresh(&Catalogue::Models, &list, now),
            Recalled::Failed(_) => {}
            // Whether it came is seen below.
            Recalled::Nothing => {
                if let Ok(flight) = self.ask(&Catalogue::Models, None) {
                    drop(flight.await);
                }
            }
        }
        match self.0.cache.listed() {
            Some(listed) if listed.contains(model) => Existence::Known,
            Some(_) => Existence::Unknown,
            None => Existence::Uncertain,
        }
    }

    /// Puts a question to the upstream that nothing is kept of; `guessed_by` when nobody knows whether what it is about
    /// exists.
    fn ask(&self, question: &Catalogue, guessed_by: Option<IpAddr>) -> Result<Flight, Refusal> {
        let now = self.0.clock.elapsed();
        self.fly(question, || match guessed_by {
            None => self.0.misses.take(now),
            Some(from) => self.0.misses.guess(from, now).map_err(|beyond| match beyond {
                Beyond::All => Refusal::Overloaded,
                Beyond::Network(retry_after) => {
                    let retry_at = self.0.clock.now().checked_add(retry_after).unwrap_or(Timestamp::MAX);
                    Refusal::TooManyGuesses { retry_at, retry_after }
                }
            }),
        })
    }

    fn fly(&self, question: &Catalogue, may_begin: impl FnOnce() -> Result<(), Refusal>) -> Result<Flight, Refusal> {
        let (answers, asked) = (self.clone(), question.clone());
        self.0.cache.fly(question.clone(), may_begin, async move {
            let fetched = tokio::time::timeout(FETCH_MAX, answers.fetch(&asked)).await;
            let (now, cache) = (answers.0.clock.elapsed(), &answers.0.cache);
            match fetched.unwrap_or(Err(Refusal::UpstreamTimeout)) {
                Ok(page) => {
                    let kept = CachedPage { page, at: now };
                    let settings = answers.0.settings.read();
                    if kept.page.bytes() <= settings.bytes_max {
                        cache.put(asked, kept.clone(), &settings.fields);
                    }
                    Ok(kept)
                }
                Err(why) => {
                    cache.failed(&asked, why.clone(), now);
                    Err(why)
                }
            }
        })
    }

    async fn fetch(&self, question: &Catalogue) -> Result<Page, Refusal> {
        let upstream = self.0.upstream.read();
        let request = unpaid::get(&upstream.origin, &path(question)).map_err(|_| Refusal::Internal)?;
        let received = self.0.wire.ask(&upstream.origin, request, upstream.bounds).await.map_err(|failed| {
            tracing::warn!(error = %failed, "the catalogue could not be fetched");
            match failed {
                Failed::Unreachable(_) | Failed::NoPlace | Failed::Gone => Refusal::UpstreamUnreachable,
                Failed::TimedOut => Refusal::UpstreamTimeout,
                Failed::Broken(_) | Failed::TooLarge(_) => Refusal::UpstreamBroken,
            }
        })?;
        match (received.head.status, question) {
            (StatusCode::OK, _) => Page::read(&received.head.headers, &received.body),
            (StatusCode::NOT_FOUND, Catalogue::ModelConfig(_)) => Ok(Page::Unknown),
            (_, Catalogue::Models | Catalogue::ModelConfig(_) | Catalogue::SampleImages) => {
                Err(Refusal::UpstreamBroken)
            }
        }
    }
}

/// For those who watch the list itself.
impl Answers {
    fn list(&self) -> Option<Arc<Found>> {
        match self.0.cache.recall(&Catalogue::Models, self.now()) {
            Recalled::Kept(CachedPage { page: Page::Found(found), .. }) => Some(found),
            Recalled::Kept(_) | Recalled::Failed(_) | Recalled::Nothing => None,
        }
    }

    /// Has the list asked for, when what is kept is stale or nothing is.
    async fn fetch_list(&self) {
        drop(self.kept(&Catalogue::Models, || IpAddr::from([0, 0, 0, 0])).await);
    }

    fn reconciled_every(&self) -> Option<Duration> {
        self.0.upstream.read().reconcile.as_ref().map(|reconcile| reconcile.every)
    }

    fn prices(&self) -> Arc<PriceTable> {
        self.0.prices.read()
    }

    fn fields(&self) -> Fields {
        self.0.settings.read().fields.clone()
    }

    fn now(&self) -> Duration {
        self.0.clock.elapsed()
    }
}

fn path(question: &Catalogue) -> String {
    match question {
        Catalogue::Models => "/models".to_owned(),
        Catalogue::ModelConfig(model) => format!("/models-config/{model}"),
        Catalogue::SampleImages => "/sample-images".to_owned(),
    }
}
