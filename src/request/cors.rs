//! Lets pages of named origins call the gateway (Cross-Origin Resource Sharing, the Fetch
//! standard).
//!
//! Reads: `Origin`, `Access-Control-Request-Method`. Writes: `Access-Control-*` and `Vary`, on
//! every answer. Refuses: nothing; a preflight of an origin without a name goes on, and is answered
//! as any other method that a path does not have. Position: below the layer that counts, so that
//! preflights have an access line; above every layer that refuses, so that a page can read why.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::Either;
use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, ORIGIN,
    RETRY_AFTER,
};
use http::{HeaderName, HeaderValue, Method, Request};
use tower::{Layer, Service};
use tower_http::cors;

use super::Arrival;
use crate::http::{
    Answer, IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, RATELIMIT, RATELIMIT_POLICY, SERVER_TIMING,
    TRACEPARENT, X_API_KEY, X_CALL_ID, X_CREDITS_COST, X_CREDITS_COST_ORIGINAL,
    X_CREDITS_REMAINING, X_ERROR_SOURCE, X_MOONGATE_TEAM, X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING,
    X_RATELIMIT_RESET, X_REQUEST_ID,
};

/// How long a browser may remember a preflight. An origin that is taken out of the list is refused
/// at once nevertheless: its pages may not read the answers.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3600);

/// Headers that a page may send: all that the team listener reads.
const SENT: [HeaderName; 8] = [
    AUTHORIZATION,
    X_API_KEY,
    CONTENT_TYPE,
    IDEMPOTENCY_KEY,
    X_REQUEST_ID,
    X_MOONGATE_TEAM,
    TRACEPARENT,
    IF_NONE_MATCH,
];

/// Headers that a page may read: all that the team listener writes for its callers.
const READ: [HeaderName; 15] = [
    X_REQUEST_ID,
    X_CALL_ID,
    X_CREDITS_COST,
    X_CREDITS_COST_ORIGINAL,
    X_CREDITS_REMAINING,
    X_RATELIMIT_LIMIT,
    X_RATELIMIT_REMAINING,
    X_RATELIMIT_RESET,
    RATELIMIT,
    RATELIMIT_POLICY,
    RETRY_AFTER,
    SERVER_TIMING,
    X_ERROR_SOURCE,
    IDEMPOTENCY_REPLAYED,
    ETAG,
];

/// Makes [`Cors`].
#[derive(Clone, Debug)]
pub struct CorsLayer {
    named: Option<Named>,
}

/// The origins whose pages may call, and the headers for them.
#[derive(Clone, Debug)]
struct Named {
    origins: Vec<HeaderValue>,
    layer: cors::CorsLayer,
}

impl CorsLayer {
    /// Allows pages of these origins, of no other. Without any, answers stay as they are.
    #[must_use]
    pub fn new(origins: Vec<HeaderValue>) -> Self {
        if origins.is_empty() {
            return Self { named: None };
        }
        let layer = cors::CorsLayer::new()
            .allow_origin(cors::AllowOrigin::list(origins.clone()))
            .allow_methods([Method::GET, Method::HEAD, Method::POST])
            .allow_headers(SENT)
            .expose_headers(READ)
            .max_age(PREFLIGHT_AGE);
        Self { named: Some(Named { origins, layer }) }
    }
}

impl<S> Layer<S> for CorsLayer {
    type Service = Cors<S>;

    fn layer(&self, inner: S) -> Cors<S> {
        Cors { inner, named: self.named.clone() }
    }
}

/// Answers preflights, and adds to all other answers what lets a page read them.
#[derive(Clone, Debug)]
pub struct Cors<S> {
    inner: S,
    named: Option<Named>,
}

impl<S, B> Service<Arrival<B>> for Cors<S>
where
    S: Service<Arrival<B>, Response = Answer, Error = Infallible>,
{
    type Response = Answer;
    type Error = Infallible;
    // Boxed, so that a call has no room for headers that it does not carry.
    type Future = Either<S::Future, Pin<Box<cors::ResponseFuture<S::Future>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, arrival: Arrival<B>) -> Self::Future {
        let Some(named) = self.named.as_ref().filter(|named| named.takes(&arrival.request)) else {
            return Either::Left(self.inner.call(arrival));
        };
        let (request, rest) = split(arrival);
        let mut service = named.layer.layer(Rejoined { inner: &mut self.inner, rest });
        Either::Right(Box::pin(service.call(request)))
    }
}

impl Named {
    /// Whether the library's layer has a say: it takes any `OPTIONS` for a preflight, and would
    /// answer those of strangers too.
    fn takes<B>(&self, request: &Request<B>) -> bool {
        let headers = request.headers();
        request.method() != Method::OPTIONS
            || headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
                && headers.get(ORIGIN).is_some_and(|origin| self.origins.contains(origin))
    }
}

/// The parts of a request that the library's layer does not take.
type Rest = Arrival<()>;

fn split<B>(arrival: Arrival<B>) -> (Request<B>, Rest) {
    let Arrival { request, peer, too_late, at, id, record } = arrival;
    (request, Arrival { request: Request::new(()), peer, too_late, at, id, record })
}

/// Gives a plain request back what was split off.
struct Rejoined<'a, S> {
    inner: &'a mut S,
    rest: Rest,
}

impl<S, B> Service<Request<B>> for Rejoined<'_, S>
where
    S: Service<Arrival<B>, Response = Answer, Error = Infallible>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let Rest { peer, too_late, at, ref id, ref record, .. } = self.rest;
        let (id, record) = (id.clone(), record.clone());
        self.inner.call(Arrival { request, peer, too_late, at, id, record })
    }
}
