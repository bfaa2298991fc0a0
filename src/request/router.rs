//! Divides the path of a request: one branch for each kind of route.
//!
//! Reads: the route. Writes, refuses: nothing.
//! Position: below the check that found the route, above the branches.

use std::task::{Context, Poll, ready};

use futures_util::future::{self, Either, Ready};
use tower::Service;

use super::description::description;
use super::health::Health;
use super::lookup::{Lookup, Visit};
use super::route::AuthenticatedRoute;
use super::{Arrival, Route};
use crate::http::Answer;
use crate::live::Live;
use crate::refusal::Refusal;
use crate::request::arrival::Routed;

/// Routes each request to a branch: pages, the public catalogue, or routes that need a credential.
#[derive(Clone)]
pub struct Router<P, C, K> {
    /// Serves the team page and its files.
    pub pages: P,
    /// Answers the public catalogue.
    pub catalogue: C,
    /// Authenticates the caller, then answers.
    pub known: K,
    /// Whether the catalogue needs no credential.
    pub catalogue_is_public: Live<bool>,
    /// Whether calls should be sent to this replica.
    pub health: Health,
}

impl<P, C, K, B> Service<Routed<B, Route>> for Router<P, C, K>
where
    P: Service<Visit, Response = Answer, Error = Refusal>,
    C: Service<Lookup, Response = Answer, Error = Refusal>,
    K: Service<Routed<B, AuthenticatedRoute>, Response = Answer, Error = Refusal>,
{
    type Response = Answer;
    type Error = Refusal;
    type Future =
        Either<Either<C::Future, Either<P::Future, Ready<Result<Answer, Refusal>>>>, K::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        ready!(self.pages.poll_ready(cx))?;
        ready!(self.catalogue.poll_ready(cx))?;
        self.known.poll_ready(cx)
    }

    fn call(&mut self, Routed { arrival, route }: Routed<B, Route>) -> Self::Future {
        let known = |arrival: Arrival<B>, route| Routed { arrival, route };
        match route {
            Route::Description => {
                let described = future::ready(Ok(description()));
                Either::Left(Either::Right(Either::Right(described)))
            }
            Route::Health => {
                let health = future::ready(self.health.answer());
                Either::Left(Either::Right(Either::Right(health)))
            }
            Route::Page(page) => {
                let page = self.pages.call(Visit::of(arrival, page));
                Either::Left(Either::Right(Either::Left(page)))
            }
            Route::Catalogue(question) if *self.catalogue_is_public.read() => {
                Either::Left(Either::Left(self.catalogue.call(Lookup::of(arrival, question))))
            }
            Route::Catalogue(question) => Either::Right(
                self.known.call(known(arrival, AuthenticatedRoute::Catalogue(question))),
            ),
            Route::Known(route) => Either::Right(self.known.call(known(arrival, route))),
        }
    }
}
