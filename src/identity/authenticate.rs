//! Who is calling: takes the credential off the request and puts a principal in its place.
//!
//! Reads: `Authorization` or `X-API-Key`. Writes: the record's team, user and credential; removes the credential's headers.
//! Refuses: `credential_*`, `team_unknown`, `team_suspended`, `invalid_request` (two credentials), `identity_unavailable`.
//! Position: above everything that knows of teams. Nothing below ever sees the credential.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, Either};
use http::header::AUTHORIZATION;
use tower::{Layer, Service};

use super::bearer::{self, BearerFault};
use super::directory::{Directory, Identified};
use super::{Authenticated, Rejection};
use crate::http::{Answer, X_API_KEY};
use crate::live::Live;
use crate::refusal::Refusal;
use crate::request::route::Known;
use crate::request::{Arrival, Routed};

/// Makes [`Authenticate`].
#[derive(Clone)]
pub struct AuthenticateLayer {
    directory: Live<Directory>,
}

impl AuthenticateLayer {
    /// A layer that asks this directory, as it is when a request comes.
    #[must_use]
    pub const fn new(directory: Live<Directory>) -> Self {
        Self { directory }
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate { inner, directory: self.directory.clone() }
    }
}

/// The service of [`AuthenticateLayer`].
#[derive(Clone)]
pub struct Authenticate<S> {
    inner: S,
    directory: Live<Directory>,
}

impl<S, B> Service<Routed<B, Known>> for Authenticate<S>
where
    S: Service<Authenticated<B>, Response = Answer, Error = Refusal> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Answer;
    type Error = Refusal;
    /// Nothing is waited for, and nothing is boxed, unless an issuer must be asked for newer keys.
    type Future =
        Either<Ready<Result<Answer, Refusal>>, Either<S::Future, BoxFuture<'static, Result<Answer, Refusal>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, routed: Routed<B, Known>) -> Self::Future {
        let directory = self.directory.read();
        let credential = match bearer::credential(routed.arrival.request.headers()) {
            Ok(credential) => credential,
            Err(fault) => return Either::Left(ready(Err(refuse_fault(fault)))),
        };
        match directory.identify_now(credential) {
            Some(Ok(identified)) => Either::Right(Either::Left(self.inner.call(authenticated(routed, identified)))),
            Some(Err(rejection)) => Either::Left(ready(Err(refuse(rejection)))),
            None => {
                let credential = credential.to_owned();
                let clone = self.inner.clone();
                let mut inner = std::mem::replace(&mut self.inner, clone);
                Either::Right(Either::Right(Box::pin(async move {
                    let identified = directory.identify(&credential).await.map_err(refuse)?;
                    inner.call(authenticated(routed, identified)).await
                })))
            }
        }
    }
}

fn authenticated<B>(routed: Routed<B, Known>, (principal, team): Identified) -> Authenticated<B> {
    let Routed { mut arrival, route } = routed;
    strip(&mut arrival);
    {
        let mut facts = arrival.record.facts();
        facts.team = Some(principal.team.clone());
        facts.user = Some(principal.user.clone());
        facts.credential_kind = Some(principal.credential.kind());
        facts.credential = Some(principal.credential.id().to_owned());
        if let Known::Generate(model) = &route {
            facts.model = Some(model.clone());
            facts.model_is_priced = team.prices.models.contains_key(model);
        }
    }
    Authenticated::new(arrival, route, Arc::new(principal), team)
}

fn strip<B>(arrival: &mut Arrival<B>) {
    let headers = arrival.request.headers_mut();
    headers.remove(AUTHORIZATION);
    headers.remove(X_API_KEY);
}

fn refuse_fault(fault: BearerFault) -> Refusal {
    match fault {
        BearerFault::Missing => Refusal::CredentialMissing,
        BearerFault::Unreadable => Refusal::CredentialInvalid,
        BearerFault::Several => Refusal::InvalidRequest(vec!["exactly one credential may be sent".to_owned()]),
    }
}

fn refuse(rejection: Rejection) -> Refusal {
    match rejection {
        Rejection::Invalid => Refusal::CredentialInvalid,
        Rejection::Expired => Refusal::CredentialExpired,
        Rejection::Revoked => Refusal::CredentialRevoked,
        Rejection::TeamUnknown => Refusal::TeamUnknown,
        Rejection::TeamSuspended => Refusal::TeamSuspended,
        Rejection::KeysUnavailable => Refusal::IdentityUnavailable,
    }
}
