//! May this caller use this model, and has the model a price.
//!
//! Reads: the team's and the key's models, the price table. Writes: the call's id in the record.
//! Refuses: `model_not_allowed`, `model_unknown`. Position: below authentication, above the body:
//! what is not allowed is refused before a byte of it is held.

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
    /// What it is made of.
    #[must_use]
    pub fn into_parts(
        self,
    ) -> (Arrival<B>, ReservationId, Arc<Principal>, Arc<Team>, ModelId, Price) {
        (self.arrival, self.call_id, self.principal, self.team, self.model, self.price)
    }
}

/// A paid call of a known caller: what the fork below authentication hands to this layer.
#[derive(Debug)]
pub struct Wanted<B> {
    caller: Authenticated<B>,
    call_id: ReservationId,
    model: ModelId,
}

impl<B> Wanted<B> {
    /// A generation. From here on it is a call: the record has its id, and so has whatever it is
    /// answered with.
    #[must_use]
    pub fn generation(caller: Authenticated<B>, model: ModelId) -> Self {
        let call_id = ReservationId::new();
        caller.arrival().record.facts().call_id = Some(call_id);
        Self { caller, call_id, model }
    }

    /// A quote for one. Nothing becomes of it, so nobody is told its id.
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

impl<S, B> Service<Wanted<B>> for Authorize<S>
where
    S: Service<Authorized<B>, Response = Answer, Error = Refusal>,
{
    type Response = Answer;
    type Error = Refusal;
    type Future = Either<Ready<Result<Answer, Refusal>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, wanted: Wanted<B>) -> Self::Future {
        match authorize(wanted) {
            Ok(authorized) => Either::Right(self.inner.call(authorized)),
            Err(refusal) => Either::Left(ready(Err(refusal))),
        }
    }
}

fn authorize<B>(wanted: Wanted<B>) -> Result<Authorized<B>, Refusal> {
    let Wanted { caller, call_id, model } = wanted;
    let (arrival, _, principal, team) = caller.into_parts();
    if !team.models.allow(&model) {
        return Err(Refusal::ModelNotAllowed(model));
    }
    if principal.key_models.as_ref().is_some_and(|rules| !rules.allow(&model)) {
        return Err(Refusal::ModelNotAllowedToKey(model));
    }
    let Some(price) = team.prices.get(&model) else {
        // What it may not use is not named to it.
        let may_use = |id: &ModelId| {
            team.models.allow(id)
                && principal.key_models.as_ref().is_none_or(|rules| rules.allow(id))
        };
        let nearest = team.prices.nearest(&model, may_use);
        return Err(Refusal::ModelUnpriced { model, nearest });
    };
    Ok(Authorized { arrival, call_id, principal, team, model, price })
}
