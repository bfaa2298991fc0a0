//! Guards the work of verifying credentials against unknown callers: throttles by address, bounds
//! what is verified at once, and delays answers to bad credentials.
//!
//! A good gateway key or a cached token never gets here. A new token is verified even while its
//! address is refused, a few at a time: only failures are slowed and refused.

use std::net::IpAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::authenticator::Authenticator;
use super::presented::Presented;
use super::rejection::Rejection;
use super::throttle::{Answered, Entry, Network, Throttle};
use super::verification_pool::VerificationPool;
use crate::clock::Clock;
use crate::identity::principal::Identified;
use crate::request::origin::TrustedProxies;

/// Most delayed answers at once; further ones are not delayed.
const SLOW_MAX: usize = 1024;

/// `Retry-After` of a credential that was not checked because others were.
const SOON: Duration = Duration::from_secs(1);

/// Guard of one process, over all workers and across reloads. Clones share state.
#[derive(Clone, Debug)]
pub struct CredentialGuard {
    proxies: Arc<TrustedProxies>,
    throttle: Throttle,
    pool: VerificationPool,
    slow: Arc<Semaphore>,
    clock: Clock,
}

/// Why a credential was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// Rejected.
    Away {
        /// Why.
        rejection: Rejection,
        /// How long the answer was delayed on purpose.
        delayed: Duration,
    },
    /// Too many from its address failed, and this one did too or was not checked.
    AwayUntil {
        /// When the next one is checked.
        retry_at: Timestamp,
        /// How long until then.
        retry_after: Duration,
    },
}

impl Turned {
    const fn at_once(rejection: Rejection) -> Self {
        Self::Away { rejection, delayed: Duration::ZERO }
    }
}

impl CredentialGuard {
    /// A guard that trusts these proxies.
    #[must_use]
    pub fn new(proxies: TrustedProxies, clock: Clock) -> Self {
        let slow = Arc::new(Semaphore::new(SLOW_MAX));
        Self {
            proxies: Arc::new(proxies),
            throttle: Throttle::new("teams"),
            pool: VerificationPool::new(),
            slow,
            clock,
        }
    }

    /// Proxies trusted to report a caller's address.
    #[must_use]
    pub const fn proxies(&self) -> &Arc<TrustedProxies> {
        &self.proxies
    }

    /// The caller's address.
    #[must_use]
    pub fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.proxies.origin(peer, headers)
    }

    /// Judges a credential that [`Authenticator::lookup_cached`] did not decide. A caller who hangs
    /// up meanwhile counts as a failure.
    ///
    /// # Errors
    /// It was not accepted.
    pub async fn judge(
        &self,
        authenticator: &Arc<Authenticator>,
        presented: impl Into<Presented<'_>>,
        from: IpAddr,
    ) -> Result<Identified, Turned> {
        let ticket = match self.throttle.enter(Network::from(from), self.clock.elapsed()) {
            Entry::Free => None,
            Entry::Held(ticket) => Some(ticket),
            Entry::Busy => {
                authenticator.not_looked_at();
                // The credential may be good, so it may come back before the refusal of its address
                // ends.
                return Err(self.for_so_long(SOON));
            }
        };
        let Presented { credential, team } = presented.into();
        let (guard, judge) = (self.clone(), Arc::clone(authenticator));
        let (credential, team) = (credential.to_owned(), team.cloned());
        let judging = tokio::spawn(async move {
            let _held = ticket;
            let presented = Presented { credential: &credential, team: team.as_ref() };
            let judged = judge.identify(presented, &guard.pool).await;
            judged.map_err(|rejection| (rejection, guard.note(&judge, rejection, from)))
        });
        match judging.await {
            Ok(Ok(identified)) => Ok(identified),
            Ok(Err((rejection, answered))) => {
                Err(self.answer(authenticator, rejection, answered).await)
            }
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The worker is shutting down.
            Err(_) => Err(Turned::at_once(Rejection::Overloaded)),
        }
    }

    /// The answer to a rejected credential; waits if it is to be slow.
    pub async fn turn_away(
        &self,
        authenticator: &Authenticator,
        rejection: Rejection,
        from: IpAddr,
    ) -> Turned {
        let answered = self.note(authenticator, rejection, from);
        self.answer(authenticator, rejection, answered).await
    }

    fn note(&self, authenticator: &Authenticator, rejection: Rejection, from: IpAddr) -> Answered {
        if rejection.is_held_against_its_bearer() {
            self.throttle.failed(
                Network::from(from),
                authenticator.throttle(),
                self.clock.elapsed(),
            )
        } else {
            Answered::AtOnce
        }
    }

    async fn answer(
        &self,
        authenticator: &Authenticator,
        rejection: Rejection,
        answered: Answered,
    ) -> Turned {
        match answered {
            Answered::AtOnce => Turned::at_once(rejection),
            Answered::Refused(wait) => self.for_so_long(wait),
            Answered::Slowly => {
                let started = Instant::now();
                if let Ok(_held) = self.slow.try_acquire() {
                    tokio::time::sleep(authenticator.throttle().slow_by).await;
                }
                Turned::Away { rejection, delayed: started.elapsed() }
            }
        }
    }

    fn for_so_long(&self, retry_after: Duration) -> Turned {
        let retry_at = self.clock.now().checked_add(retry_after).unwrap_or(Timestamp::MAX);
        Turned::AwayUntil { retry_at, retry_after }
    }
}
