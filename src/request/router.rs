//! Where the path of a request divides: one branch per kind of route.
//!
//! Reads: the route. Writes, refuses: nothing.
//! Position: below the check that found the route, above the branches.

use std::task::{Context, Poll, ready};

use futures_util::future::{self, Either, Ready};
use tower::Service;

use super::description::description;
use super::lookup::Lookup;
use super::route::AuthenticatedRoute;
use super::{Arrival, Route};
use crate::http::Answer;
use crate::live::Live;
use crate::refusal::Refusal;
use crate::request::arrival::Routed;

/// Sends the catalogue's requests one way and those that need a credential another.
#[derive(Clone)]
pub struct Router<C, K> {
    /// Answers the public catalogue.
    pub catalogue: C,
    /// Asks who calls, then answers.
    pub known: K,
    /// Whether the catalogue is open to everyone.
    pub catalogue_is_public: Live<bool>,
}

impl<C, K, B> Service<Routed<B, Route>> for Router<C, K>
where
    C: Service<Lookup, Response = Answer, Error = Refusal>,
    K: Service<Routed<B, AuthenticatedRoute>, Response = Answer, Error = Refusal>,
{
    type Response = Answer;
    type Error = Refusal;
    type Future = Either<Either<C::Future, Ready<Result<Answer, Refusal>>>, K::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        ready!(self.catalogue.poll_ready(cx))?;
        self.known.poll_ready(cx)
    }

    fn call(&mut self, Routed { arrival, route }: Routed<B, Route>) -> Self::Future {
        let known = |arrival: Arrival<B>, route| Routed { arrival, route };
        match route {
            Route::Description => Either::Left(Either::Right(future::ready(Ok(description())))),
            Route::Catalogue(question) if *self.catalogue_is_public.read() => {
                Either::Left(Either::Left(self.catalogue.call(Lookup::of(arrival, question))))
            }
            Route::Catalogue(question) => {
                Either::Right(self.known.call(known(arrival, AuthenticatedRoute::Catalogue(question))))
            }
            Route::Known(route) => Either::Right(self.known.call(known(arrival, route))),
        }
    }
}
