//! Who is calling: takes the credential off the request and puts a principal in its place.
//!
//! Reads: `Authorization` or `X-API-Key`, and `X-Moongate-Team`; for those who fail, where they come from. Writes: the
//! record's team, user and credential; removes those headers. Refuses: `credential_*`, `team_unknown`,
//! `team_suspended`, `invalid_request` (two credentials, or no team's name), `identity_unavailable`, `overloaded` (too
//! many tokens to verify), `rate_limited` (too many failures from one address). Position: above everything that knows
//! of teams. Nothing below ever sees the credential.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, Either};
use http::header::AUTHORIZATION;
use tower::{Layer, Service};

use super::authenticator::Authenticator;
use super::bearer::{self, BearerFault};
use super::credential_guard::{CredentialGuard, Turned};
use super::{Authenticated, Presented, Rejection};
use crate::http::{Answer, X_API_KEY, X_MOONGATE_TEAM};
use crate::identity::principal::Identified;
use crate::live::Live;
use crate::refusal::Refusal;
use crate::request::route::AuthenticatedRoute;
use crate::request::{Arrival, Routed};

/// Makes [`Authenticate`].
#[derive(Clone)]
pub struct AuthenticateLayer {
    directory: Live<Authenticator>,
    gate: Arc<CredentialGuard>,
}

impl AuthenticateLayer {
    /// A layer that asks this directory, as it is when a request comes, and at this gate when the directory does not
    /// know.
    #[must_use]
    pub const fn new(directory: Live<Authenticator>, gate: Arc<CredentialGuard>) -> Self {
        Self { directory, gate }
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate { inner, layer: Arc::new(self.clone()) }
    }
}

/// The service of [`AuthenticateLayer`].
#[derive(Clone)]
pub struct Authenticate<S> {
    inner: S,
    layer: Arc<AuthenticateLayer>,
}

impl<S, B> Service<Routed<B, AuthenticatedRoute>> for Authenticate<S>
where
    S: Service<Authenticated<B>, Response = Answer, Error = Refusal> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Answer;
    type Error = Refusal;
    /// Nothing is waited for, and nothing is boxed, for whoever shows a good key or a token that was verified before.
    type Future =
        Either<Ready<Result<Answer, Refusal>>, Either<S::Future, BoxFuture<'static, Result<Answer, Refusal>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, routed: Routed<B, AuthenticatedRoute>) -> Self::Future {
        let directory = self.layer.directory.read();
        let headers = routed.arrival.request.headers();
        let Ok(team) = bearer::chosen_team(headers) else {
            return Either::Left(ready(Err(refused(routed.route, no_team()))));
        };
        let shown = match bearer::credential(headers) {
            Ok(credential) => {
                let recalled = directory.lookup_cached(Presented { credential, team: team.as_ref() });
                recalled.map(|judged| judged.map_err(|why| told(why, &directory, credential))).ok_or(credential)
            }
            Err(BearerFault::Unreadable) => Ok(Err((Rejection::Invalid, Refusal::CredentialInvalid))),
            Err(BearerFault::Missing) => {
                return Either::Left(ready(Err(refused(routed.route, Refusal::CredentialMissing))));
            }
            Err(BearerFault::Several) => return Either::Left(ready(Err(refused(routed.route, several())))),
        };
        let known = match shown {
            Ok(Ok(identified)) => {
                return Either::Right(Either::Left(self.inner.call(authenticated(routed, identified))));
            }
            Ok(Err(rejected)) => Ok(rejected),
            Err(credential) => Err(credential.to_owned()),
        };
        let gate = Arc::clone(&self.layer.gate);
        let from = gate.origin(routed.arrival.peer, routed.arrival.request.headers());
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Either::Right(Either::Right(Box::pin(async move {
            let judged = match known {
                Ok((rejection, refusal)) => Err(refuse(gate.turn_away(&directory, rejection, from).await, |_| refusal)),
                Err(credential) => {
                    let presented = Presented { credential: &credential, team: team.as_ref() };
                    let judged = gate.judge(&directory, presented, from).await;
                    judged.map_err(|turned| refuse(turned, |why| told(why, &directory, &credential).1))
                }
            };
            match judged {
                Ok(identified) => inner.call(authenticated(routed, identified)).await,
                Err(refusal) => Err(refused(routed.route, refusal)),
            }
        })))
    }
}

fn authenticated<B>(routed: Routed<B, AuthenticatedRoute>, (principal, team): Identified) -> Authenticated<B> {
    let Routed { mut arrival, route } = routed;
    strip(&mut arrival);
    {
        let mut facts = arrival.record.facts();
        facts.team = Some(principal.team.clone());
        facts.user = Some(principal.user.clone());
        facts.credential = Some(principal.credential.clone());
        if let AuthenticatedRoute::Generate(model) = &route {
            facts.model = Some(model.clone());
            facts.model_is_priced = team.prices.models.contains_key(model);
        }
    }
    Authenticated::new(arrival, route, principal, team)
}

fn strip<B>(arrival: &mut Arrival<B>) {
    let headers = arrival.request.headers_mut();
    headers.remove(AUTHORIZATION);
    headers.remove(X_API_KEY);
    headers.remove(X_MOONGATE_TEAM);
}

/// What is no route is refused as that also when the credential is no good.
fn refused(route: AuthenticatedRoute, refusal: Refusal) -> Refusal {
    if let AuthenticatedRoute::Nothing(missed) = route { *missed } else { refusal }
}

fn several() -> Refusal {
    Refusal::InvalidRequest(vec!["send one credential, once: in Authorization or in X-API-Key".to_owned()])
}

fn no_team() -> Refusal {
    Refusal::InvalidRequest(vec!["X-Moongate-Team must be the name of one team".to_owned()])
}

/// A rejection, and how its bearer is told. Whoever must choose among teams is told which.
fn told(rejection: Rejection, directory: &Authenticator, credential: &str) -> (Rejection, Refusal) {
    let refusal = if rejection == Rejection::TeamAmbiguous {
        Refusal::TeamAmbiguous(directory.teams_of(credential))
    } else {
        rejection.refusal()
    };
    (rejection, refusal)
}

fn refuse(turned: Turned, told: impl FnOnce(Rejection) -> Refusal) -> Refusal {
    match turned {
        Turned::AwayUntil { retry_at, retry_after } => Refusal::TooManyFailures { retry_at, retry_after },
        Turned::Away(rejection) => told(rejection),
    }
}
