//! Public endpoints, cached: models, model configurations and sample images, fetched without a key.
//!
//! Reads: the cache, the upstream, the price table's ids. Writes: the cache. Refuses: `upstream_*`,
//! `model_unknown`, `rate_limited`, `overloaded`. Position: a branch above authentication, since it
//! costs nothing and shows nothing of any team. Its callers may be strangers, so the requests they
//! cause are bounded: by [`cache`] (one request at a time for each question), [`listing`] (only for
//! models that exist) and [`misses`] (by rate). [`page`] is an answer, [`watch`] compares the
//! upstream's prices with ours.

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

/// Parts that the catalogue is served with.
#[derive(Clone)]
pub struct Parts {
    /// Cached answers.
    pub cache: Cache,
    /// Limits on requests to the upstream.
    pub misses: Misses,
    /// Connections to the upstream.
    pub client: UpstreamClient,
    /// The upstream.
    pub upstream: Live<Upstream>,
    /// Settings.
    pub settings: Live<Settings>,
    /// Prices. A model with a price exists even if the list lacks it.
    pub prices: Live<PriceTable>,
    /// Proxies trusted to report a caller's address.
    pub proxies: Arc<TrustedProxies>,
    /// The time.
    pub clock: Clock,
}

/// Serves the public catalogue.
#[derive(Clone)]
pub struct Answers(Parts);

impl Answers {
    /// Serves with these parts.
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

/// Most time for a request to the upstream, which may be less than a paid call has.
const FETCH_MAX: Duration = Duration::from_secs(5);

/// Whether a model exists, as known without asking for it.
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
            (Page::Unknown, Catalogue::Models | Catalogue::SampleImages) => {
                Err(Refusal::UpstreamBroken)
            }
        }
    }

    /// Serves a cached answer at once; a stale one is refreshed meanwhile.
    async fn kept(
        &self,
        question: &Catalogue,
        from: impl Fn() -> IpAddr,
    ) -> Result<CachedPage, Refusal> {
        let now = self.0.clock.elapsed();
        match self.0.cache.recall(question, now) {
            Recalled::Cached(kept) => {
                self.refresh(question, &kept, now);
                Ok(kept)
            }
            Recalled::Failed(why) => Err(why),
            Recalled::Nothing => {
                let Catalogue::ModelConfig(model) = question else {
                    return self.ask(question, None)?.await;
                };
                match self.existence(model).await {
                    Existence::Known => self.ask(question, None)?.await,
                    Existence::Unknown => Err(Refusal::ModelUnknown(model.clone())),
                    Existence::Uncertain => self.ask(question, Some(from()))?.await,
                }
            }
        }
    }

    /// Refreshes a stale answer, without waiting. If too many requests are under way, it is
    /// refreshed later.
    fn refresh(&self, question: &Catalogue, kept: &CachedPage, now: Duration) {
        let is_stale = now.saturating_sub(kept.at) >= self.0.settings.read().fresh_for;
        if is_stale && self.0.cache.may_ask_again(question, now) {
            drop(self.fly(question, || Ok(())));
        }
    }

    /// Whether a model exists: it has a price, or is in the list, which is fetched if needed.
    async fn existence(&self, model: &ModelId) -> Existence {
        if self.0.prices.read().models.contains_key(model) {
            return Existence::Known;
        }
        let now = self.0.clock.elapsed();
        match self.0.cache.recall(&Catalogue::Models, now) {
            Recalled::Cached(list) => self.refresh(&Catalogue::Models, &list, now),
            Recalled::Failed(_) => {}
            // The result is read from the cache below.
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

    /// Asks the upstream something that is not cached. `guessed_by` is set when the model may not
    /// exist.
    fn ask(&self, question: &Catalogue, guessed_by: Option<IpAddr>) -> Result<Flight, Refusal> {
        let now = self.0.clock.elapsed();
        self.fly(question, || match guessed_by {
            None => self.0.misses.take(now),
            Some(from) => self.0.misses.guess(from, now).map_err(|beyond| match beyond {
                Beyond::All => Refusal::Overloaded,
                Beyond::Network(retry_after) => {
                    let retry_at =
                        self.0.clock.now().checked_add(retry_after).unwrap_or(Timestamp::MAX);
                    Refusal::TooManyGuesses { retry_at, retry_after }
                }
            }),
        })
    }

    fn fly(
        &self,
        question: &Catalogue,
        may_begin: impl FnOnce() -> Result<(), Refusal>,
    ) -> Result<Flight, Refusal> {
        let (answers, asked_for) = (self.clone(), question.clone());
        self.0.cache.fly(question.clone(), may_begin, async move {
            let fetched = tokio::time::timeout(FETCH_MAX, answers.fetch(&asked_for)).await;
            let (now, cache) = (answers.0.clock.elapsed(), &answers.0.cache);
            match fetched.unwrap_or(Err(Refusal::UpstreamTimeout)) {
                Ok(page) => {
                    let kept = CachedPage { page, at: now };
                    let settings = answers.0.settings.read();
                    if kept.page.bytes() <= settings.bytes_max {
                        cache.put(asked_for, kept.clone(), &settings.fields);
                    }
                    Ok(kept)
                }
                Err(why) => {
                    cache.failed(&asked_for, why.clone(), now);
                    Err(why)
                }
            }
        })
    }

    async fn fetch(&self, question: &Catalogue) -> Result<Page, Refusal> {
        let upstream = self.0.upstream.read();
        let request =
            unpaid::get(&upstream.origin, &path(question)).map_err(|_| Refusal::Internal)?;
        let received =
            self.0.client.ask(&upstream.origin, request, upstream.bounds).await.map_err(
                |failed| {
                    tracing::warn!(error = %failed, "the catalogue could not be fetched");
                    match failed {
                        Failed::Unreachable(_) | Failed::NoStream | Failed::Gone => {
                            Refusal::UpstreamUnreachable
                        }
                        Failed::TimedOut => Refusal::UpstreamTimeout,
                        Failed::Broken(_) | Failed::TooLarge(_) => Refusal::UpstreamBroken,
                    }
                },
            )?;
        match (received.head.status, question) {
            (StatusCode::OK, _) => Page::read(&received.head.headers, &received.body),
            (StatusCode::NOT_FOUND, Catalogue::ModelConfig(_)) => Ok(Page::Unknown),
            (_, Catalogue::Models | Catalogue::ModelConfig(_) | Catalogue::SampleImages) => {
                Err(Refusal::UpstreamBroken)
            }
        }
    }
}

/// Reads for the watcher of prices.
impl Answers {
    fn list(&self) -> Option<Arc<Found>> {
        match self.0.cache.recall(&Catalogue::Models, self.now()) {
            Recalled::Cached(CachedPage { page: Page::Found(found), .. }) => Some(found),
            Recalled::Cached(_) | Recalled::Failed(_) | Recalled::Nothing => None,
        }
    }

    /// Fetches the list if it is stale or missing.
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
