//! Checks that the caller may use the model and that the model has a price.
//!
//! Reads: the team's and the key's models, the price table. Writes: the call's id in the record.
//! Refuses: `model_not_allowed`, `model_unknown`. Position: below authentication, because the
//! models depend on the caller; above the body, so that a call that is not allowed takes no memory.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use tower::{Layer, Service};

use crate::http::Answer;
use crate::identity::{Authenticated, Principal};
use crate::ledger::ReservationId;
use crate::model::ModelId;
use crate::pricing::Price;
use crate::refusal::Refusal;
use crate::request::Arrival;
use crate::team::Team;

/// A paid call whose caller may use its model. Only this layer makes it.
#[derive(Debug)]
pub struct Authorized<B> {
    arrival: Arrival<B>,
    principal: Arc<Principal>,
    team: Arc<Team>,
    call_id: ReservationId,
    model: ModelId,
    price: Price,
}

impl<B> Authorized<B> {
    /// The parts of the call.
    #[must_use]
    pub fn into_parts(
        self,
    ) -> (Arrival<B>, ReservationId, Arc<Principal>, Arc<Team>, ModelId, Price) {
        (self.arrival, self.call_id, self.principal, self.team, self.model, self.price)
    }
}

/// A call that its caller wants to make or have quoted, as it comes from the fork below
/// authentication.
#[derive(Debug)]
pub struct CallRequest<B> {
    caller: Authenticated<B>,
    call_id: ReservationId,
    model: ModelId,
}

impl<B> CallRequest<B> {
    /// A generation. It gets its call id here: the request log has it, and so has its answer.
    #[must_use]
    pub fn generation(caller: Authenticated<B>, model: ModelId) -> Self {
        let call_id = ReservationId::new();
        caller.arrival().record.facts().call_id = Some(call_id);
        Self { caller, call_id, model }
    }

    /// A quote for a generation. It is never made, so its answer has no call id.
    #[must_use]
    pub fn quote(caller: Authenticated<B>, model: ModelId) -> Self {
        Self { caller, call_id: ReservationId::new(), model }
    }
}

/// Makes [`Authorize`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AuthorizeLayer;

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize { inner }
    }
}

/// The service of [`AuthorizeLayer`].
#[derive(Clone, Debug)]
pub struct Authorize<S> {
    inner: S,
}

impl<S, B> Service<CallRequest<B>> for Authorize<S>
where
    S: Service<Authorized<B>, Response = Answer, Error = Refusal>,
{
    type Response = Answer;
    type Error = Refusal;
    type Future = Either<Ready<Result<Answer, Refusal>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: CallRequest<B>) -> Self::Future {
        match authorize(request) {
            Ok(authorized) => Either::Right(self.inner.call(authorized)),
            Err(refusal) => Either::Left(ready(Err(refusal))),
        }
    }
}

fn authorize<B>(request: CallRequest<B>) -> Result<Authorized<B>, Refusal> {
    let CallRequest { caller, call_id, model } = request;
    let (arrival, _, principal, team) = caller.into_parts();
    if !team.models.allow(&model) {
        return Err(Refusal::ModelNotAllowed(model));
    }
    if principal.key_models.as_ref().is_some_and(|rules| !rules.allow(&model)) {
        return Err(Refusal::ModelNotAllowedToKey(model));
    }
    let Some(price) = team.prices.get(&model) else {
        // A caller does not learn the names of models that it may not use.
        let may_use = |id: &ModelId| {
            team.models.allow(id)
                && principal.key_models.as_ref().is_none_or(|rules| rules.allow(id))
        };
        let nearest = team.prices.nearest(&model, may_use);
        return Err(Refusal::ModelUnpriced { model, nearest });
    };
    Ok(Authorized { arrival, call_id, principal, team, model, price })
}
