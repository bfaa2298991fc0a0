//! Lets only well-formed requests pass and finds their route.
//!
//! Reads: the head. Writes: the record's route. Refuses: `invalid_request`, `invalid_path`,
//! `headers_too_large`, `route_not_found`, `method_not_allowed`, `draining`. Position: directly
//! below the layer that answers refusals, above everything that trusts a header or a path.

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tower::{Layer, Service};

use super::{Arrival, Route, framing, path};
use crate::http::{Answer, X_API_KEY};
use crate::refusal::Refusal;
use crate::request::arrival::Routed;
use crate::request::route::AuthenticatedRoute;

/// Makes [`CheckRequest`].
#[derive(Clone, Debug)]
pub struct CheckRequestLayer {
    header_bytes_max: usize,
}

impl CheckRequestLayer {
    /// A layer that lets at most this many bytes of headers pass.
    #[must_use]
    pub const fn new(header_bytes_max: usize) -> Self {
        Self { header_bytes_max }
    }
}

impl<S> Layer<S> for CheckRequestLayer {
    type Service = CheckRequest<S>;

    fn layer(&self, inner: S) -> CheckRequest<S> {
        CheckRequest { inner, rules: self.clone() }
    }
}

/// The service of [`CheckRequestLayer`].
#[derive(Clone, Debug)]
pub struct CheckRequest<S> {
    inner: S,
    rules: CheckRequestLayer,
}

impl<S, B> Service<Arrival<B>> for CheckRequest<S>
where
    S: Service<Routed<B, Route>, Response = Answer, Error = Refusal>,
{
    type Response = Answer;
    type Error = Refusal;
    type Future = Either<Ready<Result<Answer, Refusal>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, arrival: Arrival<B>) -> Self::Future {
        match self.rules.route(arrival) {
            Ok(routed) => Either::Right(self.inner.call(routed)),
            Err(refusal) => Either::Left(ready(Err(refusal))),
        }
    }
}

fn shows_credential(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) || headers.contains_key(X_API_KEY)
}

impl CheckRequestLayer {
    fn route<B>(&self, arrival: Arrival<B>) -> Result<Routed<B, Route>, Refusal> {
        if arrival.too_late {
            return Err(Refusal::Draining);
        }
        let (head, body) = arrival.request.into_parts();
        framing::check(&head, self.header_bytes_max)?;
        let route = match Route::find(&head.method, &path::plain(head.uri.path())?) {
            Ok(route) => {
                arrival.record.facts().route = Some(route.name());
                route
            }
            // A request with a credential goes on to authentication, as on any route, so that a
            // known caller's answer tells its limits.
            Err(refusal) if shows_credential(&head.headers) => {
                Route::Known(AuthenticatedRoute::Nothing(Box::new(refusal)))
            }
            Err(refusal) => return Err(refusal),
        };
        let request = http::Request::from_parts(head, body);
        Ok(Routed { arrival: Arrival { request, ..arrival }, route })
    }
}
