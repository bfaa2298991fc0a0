//! Authenticates the caller: takes the credential off the request and puts a principal in its
//! place.
//!
//! Reads: `Authorization` or `X-API-Key`, and `X-Moongate-Team`; for a failed caller, its address.
//! Writes: the record's team, user and credential; removes those headers. Refuses: `credential_*`,
//! `team_unknown`, `team_suspended`, `invalid_request` (two credentials, or no team's name),
//! `identity_unavailable`, `overloaded` (too many tokens to verify), `rate_limited` (too many
//! failures from one address). Position: above everything that depends on the team. Nothing below
//! ever sees the credential.

use std::future::{Ready, ready};
use std::sync::Arc;

use futures_util::future::{BoxFuture, Either};
use http::header::AUTHORIZATION;

use super::authenticator::Authenticator;
use super::bearer::{self, BearerFault};
use super::credential_guard::{CredentialGuard, Turned};
use super::{Authenticated, Presented, Rejection};
use crate::http::{Answer, X_API_KEY, X_MOONGATE_TEAM};
use crate::identity::principal::Identified;
use crate::live::Live;
use crate::refusal::Refusal;
use crate::request::route::AuthenticatedRoute;
use crate::request::{Arrival, RequestLog, Routed, Stage, StageSpan};
use crate::step::{Below, Step, Under};

/// Authenticates the caller.
pub struct Authenticate {
    authenticator: Live<Authenticator>,
    guard: Arc<CredentialGuard>,
}

impl Authenticate {
    /// Uses the current state of this authenticator, and this guard for credentials that must be
    /// verified.
    #[must_use]
    pub const fn new(authenticator: Live<Authenticator>, guard: Arc<CredentialGuard>) -> Self {
        Self { authenticator, guard }
    }
}

impl<S, B> Step<Routed<B, AuthenticatedRoute>, S> for Authenticate
where
    S: Under<Authenticated<B>, Answer, Refusal>,
    B: Send + 'static,
{
    type HandsOn = Authenticated<B>;
    type Response = Answer;
    type Error = Refusal;
    /// A good key or a cached token is accepted at once, without a box.
    type Future = Either<
        Ready<Result<Answer, Refusal>>,
        Either<S::Future, BoxFuture<'static, Result<Answer, Refusal>>>,
    >;

    fn take(
        self: &Arc<Self>,
        routed: Routed<B, AuthenticatedRoute>,
        below: Below<'_, S>,
    ) -> Self::Future {
        let authenticator = self.authenticator.read();
        let mut span = routed.arrival.record.enter(Stage::Authenticate);
        let headers = routed.arrival.request.headers();
        let Ok(team) = bearer::chosen_team(headers) else {
            return Either::Left(ready(Err(refused(&mut span, routed.route, no_team()))));
        };
        let shown = match bearer::credential(headers) {
            Ok(credential) => {
                let recalled =
                    authenticator.lookup_cached(Presented { credential, team: team.as_ref() });
                recalled
                    .map(|judged| {
                        judged.map_err(|why| with_refusal(why, &authenticator, credential))
                    })
                    .ok_or(credential)
            }
            Err(BearerFault::Unreadable) => {
                Ok(Err((Rejection::Invalid, Refusal::CredentialInvalid)))
            }
            Err(BearerFault::Missing) => {
                let missing = refused(&mut span, routed.route, Refusal::CredentialMissing);
                return Either::Left(ready(Err(missing)));
            }
            Err(BearerFault::Several) => {
                return Either::Left(ready(Err(refused(&mut span, routed.route, several()))));
            }
        };
        let known = match shown {
            Ok(Ok(identified)) => {
                let authenticated = authenticated(routed, identified);
                span.end();
                return Either::Right(Either::Left(below.hand_on(authenticated)));
            }
            Ok(Err(rejected)) => Ok(rejected),
            Err(credential) => Err(credential.to_owned()),
        };
        let guard = Arc::clone(&self.guard);
        let from = guard.origin(routed.arrival.peer, routed.arrival.request.headers());
        Either::Right(Either::Right(below.later(|mut below| async move {
            let judged = match known {
                Ok((rejection, refusal)) => {
                    let turned = guard.turn_away(&authenticator, rejection, from).await;
                    Err(refuse(&routed.arrival.record, turned, |_| refusal))
                }
                Err(credential) => {
                    let presented = Presented { credential: &credential, team: team.as_ref() };
                    let judged = guard.judge(&authenticator, presented, from).await;
                    judged.map_err(|turned| {
                        refuse(&routed.arrival.record, turned, |why| {
                            with_refusal(why, &authenticator, &credential).1
                        })
                    })
                }
            };
            match judged {
                Ok(identified) => {
                    span.end();
                    below.call(authenticated(routed, identified)).await
                }
                Err(refusal) => Err(refused(&mut span, routed.route, refusal)),
            }
        })))
    }
}

fn authenticated<B>(
    routed: Routed<B, AuthenticatedRoute>,
    (principal, team): Identified,
) -> Authenticated<B> {
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

/// Refuses an unknown route as such even if the credential is bad too.
fn refused(span: &mut StageSpan, route: AuthenticatedRoute, refusal: Refusal) -> Refusal {
    span.refused(|| refusal.kind());
    if let AuthenticatedRoute::Nothing(missed) = route { *missed } else { refusal }
}

fn several() -> Refusal {
    Refusal::InvalidRequest(vec![
        "send one credential, once: in Authorization or in X-API-Key".to_owned(),
    ])
}

fn no_team() -> Refusal {
    Refusal::InvalidRequest(vec!["X-Moongate-Team must be the name of one team".to_owned()])
}

/// A rejection with its refusal, which lists the teams if the caller must choose one.
fn with_refusal(
    rejection: Rejection,
    authenticator: &Authenticator,
    credential: &str,
) -> (Rejection, Refusal) {
    let refusal = if rejection == Rejection::TeamAmbiguous {
        Refusal::TeamAmbiguous(authenticator.teams_of(credential))
    } else {
        rejection.refusal()
    };
    (rejection, refusal)
}

fn refuse(
    record: &RequestLog,
    turned: Turned,
    refusal_of: impl FnOnce(Rejection) -> Refusal,
) -> Refusal {
    match turned {
        Turned::AwayUntil { retry_at, retry_after } => {
            Refusal::TooManyFailures { retry_at, retry_after }
        }
        Turned::Away { rejection, delayed } => {
            // It waited on purpose, which is no work of the gateway's.
            record.facts().delayed += delayed;
            refusal_of(rejection)
        }
    }
}
