//! What stands between unknown callers and the work of judging them: from where they come, whether what they show is
//! looked at now, and how it is answered when it is not good.
//!
//! Who shows a good gateway key, or a token that was verified before, is never asked anything here. A token that is new
//! is looked at also while its address is refused, as long as few are at once: what is slowed and refused is what
//! fails.

use std::net::IpAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

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

/// How many answers may be held back at once; what comes beyond it is answered at once.
const SLOW_MAX: usize = 1024;

/// When a credential that could not be looked at may come again.
const SOON: Duration = Duration::from_secs(1);

/// The gate of one process: over all workers, and across reloads. Clones are the same.
#[derive(Clone, Debug)]
pub struct CredentialGuard {
    proxies: Arc<TrustedProxies>,
    throttle: Throttle,
    lane: VerificationPool,
    slow: Arc<Semaphore>,
    clock: Clock,
}

/// A credential was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// For this reason.
    Away(Rejection),
    /// Too many failed from there, and this one failed too; or it could not be looked at, because others were.
    AwayUntil {
        /// When the next one is looked at.
        retry_at: Timestamp,
        /// How long that is from now.
        retry_after: Duration,
    },
}

impl CredentialGuard {
    /// A gate that believes these proxies.
    #[must_use]
    pub fn new(proxies: TrustedProxies, clock: Clock) -> Self {
        let slow = Arc::new(Semaphore::new(SLOW_MAX));
        Self {
            proxies: Arc::new(proxies),
            throttle: Throttle::new("teams"),
            lane: VerificationPool::new(),
            slow,
            clock,
        }
    }

    /// Whose word counts on where a request comes from.
    #[must_use]
    pub const fn proxies(&self) -> &Arc<TrustedProxies> {
        &self.proxies
    }

    /// From where a request comes.
    #[must_use]
    pub fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.proxies.origin(peer, headers)
    }

    /// Judges a credential that [`Authenticator::lookup_cached`] knows nothing of. Whoever hangs up meanwhile has
    /// failed all the same.
    ///
    /// # Errors
    /// It is not accepted.
    pub async fn judge(
        &self,
        directory: &Arc<Authenticator>,
        presented: impl Into<Presented<'_>>,
        from: IpAddr,
    ) -> Result<Identified, Turned> {
        let ticket = match self.throttle.enter(Network::from(from), self.clock.elapsed()) {
            Entry::Free => None,
            Entry::Held(ticket) => Some(ticket),
            Entry::Busy => {
                directory.not_looked_at();
                // It may be a good one: it need not wait for the others' time to be over.
                return Err(self.for_so_long(SOON));
            }
        };
        let Presented { credential, team } = presented.into();
        let (gate, judge) = (self.clone(), Arc::clone(directory));
        let (credential, team) = (credential.to_owned(), team.cloned());
        let judging = tokio::spawn(async move {
            let _held = ticket;
            let presented = Presented { credential: &credential, team: team.as_ref() };
            let judged = judge.identify(presented, &gate.lane).await;
            judged.map_err(|rejection| (rejection, gate.note(&judge, rejection, from)))
        });
        match judging.await {
            Ok(Ok(identified)) => Ok(identified),
            Ok(Err((rejection, answered))) => Err(self.answer(directory, rejection, answered).await),
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The worker is ending.
            Err(_) => Err(Turned::Away(Rejection::Overloaded)),
        }
    }

    /// How a credential that is not accepted is answered; waits when that is to be slow.
    pub async fn turn_away(&self, directory: &Authenticator, rejection: Rejection, from: IpAddr) -> Turned {
        let answered = self.note(directory, rejection, from);
        self.answer(directory, rejection, answered).await
    }

    fn note(&self, directory: &Authenticator, rejection: Rejection, from: IpAddr) -> Answered {
        if rejection.is_held_against_its_bearer() {
            self.throttle.failed(Network::from(from), directory.throttle(), self.clock.elapsed())
        } else {
            Answered::AtOnce
        }
    }

    async fn answer(&self, directory: &Authenticator, rejection: Rejection, answered: Answered) -> Turned {
        match answered {
            Answered::AtOnce => {}
            Answered::Refused(wait) => return self.for_so_long(wait),
            Answered::Slowly => {
                if let Ok(_held) = self.slow.try_acquire() {
                    tokio::time::sleep(directory.throttle().slow_by).await;
                }
            }
        }
        Turned::Away(rejection)
    }

    fn for_so_long(&self, retry_after: Duration) -> Turned {
        let retry_at = self.clock.now().checked_add(retry_after).unwrap_or(Timestamp::MAX);
        Turned::AwayUntil { retry_at, retry_after }
    }
}
