//! Everyone who may call, as one configuration describes them; a reload replaces it whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::cache::{Remembered, TOKENS_MAX, Verified, VerifiedTokens};
use super::fetch::Fetcher;
use super::key::{PREFIX, SecretHash, ShownKey};
use super::keyring::Keyring;
use super::known::{DirectoryError, Issuer, KnownKey, fetcher, known_issuers, known_keys};
use super::lane::Lane;
use super::observer::{KEY, OK, Observer, THROTTLED, TOKEN};
use super::principal::{Credential, KeyId, Principal};
use super::rejection::Rejection;
use super::settings::Settings;
use super::throttle;
use super::token::{Proof, Unproved, Unverified};
use crate::clock::Clock;
use crate::team::{State, Team, TeamId};

/// Who a credential speaks for, with the team as this configuration describes it.
pub type Identified = (Principal, Arc<Team>);

/// Who may call.
pub struct Directory {
    keys: HashMap<KeyId, KnownKey>,
    issuers: HashMap<Arc<str>, Issuer>,
    tokens: VerifiedTokens,
    throttle: throttle::Settings,
    fetcher: Option<Arc<Fetcher>>,
    observer: Arc<dyn Observer>,
    clock: Clock,
}

/// How far a credential was judged without waiting for anything.
enum Judged {
    Finally(Result<Identified, Rejection>),
    /// A token says a key that is not known; this keyring may be asked to read again.
    KeyUnknown(Arc<Keyring>),
}

impl Directory {
    /// Puts a directory together. Keyrings of `previous` whose issuer and source are the same are kept, with their keys; verified
    /// tokens are not. Reads key files on this thread; fetches nothing: that begins with [`Directory::keep_key_sets_fresh`].
    pub fn new(
        settings: Settings,
        teams: &HashMap<TeamId, Arc<Team>>,
        previous: Option<&Self>,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, DirectoryError> {
        let keys = known_keys(settings.keys, teams)?;
        let fetcher = fetcher(&settings.issuers, previous.and_then(|previous| previous.fetcher.as_ref()))?;
        let kept = |issuer: &str| previous?.issuers.get(issuer).map(|known| Arc::clone(&known.keyring));
        let issuers = known_issuers(settings.issuers, teams, kept, &clock, &*observer)?;
        let (tokens, throttle) = (VerifiedTokens::new(TOKENS_MAX), settings.throttle);
        Ok(Self { keys, issuers, tokens, throttle, fetcher, observer, clock })
    }

    /// Judges a credential as far as that costs next to nothing: gateway keys, and tokens that were verified before. `None` for
    /// all others.
    pub fn recall(&self, credential: &str) -> Option<Result<Identified, Rejection>> {
        let answer = if credential.starts_with(PREFIX) {
            self.judge_key(credential)
        } else {
            self.recall_token(credential, self.clock.now().as_second())?
        };
        Some(self.counted(credential, answer))
    }

    /// Judges a credential now and on this thread, unless it is a token of a key that is not known and the issuer may be asked
    /// again: then `None`, and [`Directory::identify`] asks.
    pub fn identify_now(&self, credential: &str) -> Option<Result<Identified, Rejection>> {
        match self.judge(credential) {
            Judged::Finally(answer) => Some(self.counted(credential, answer)),
            Judged::KeyUnknown(keyring) if keyring.may_be_asked(&self.clock) => None,
            Judged::KeyUnknown(_) => Some(self.counted(credential, Err(Rejection::Invalid))),
        }
    }

    /// Judges a credential in the lane; waits for the issuer, bounded, when only newer keys can tell.
    pub(super) async fn identify(self: &Arc<Self>, credential: &str, lane: &Lane) -> Result<Identified, Rejection> {
        let shared: Arc<str> = credential.into();
        let judge = || {
            let (directory, shared) = (Arc::clone(self), Arc::clone(&shared));
            lane.run(move || directory.judge(&shared))
        };
        let mut judged = judge().await;
        if let Some(Judged::KeyUnknown(keyring)) = &judged {
            judged = if keyring.ask(&self.clock).await { judge().await } else { None };
        }
        let answer = match judged {
            Some(Judged::Finally(answer)) => answer,
            Some(Judged::KeyUnknown(_)) => Err(Rejection::Invalid),
            None => Err(Rejection::Overloaded),
        };
        self.counted(credential, answer)
    }

    /// Counts a token that nobody looked at, because too many had failed before it.
    pub(super) fn not_looked_at(&self) {
        self.observer.authenticated(TOKEN, THROTTLED);
    }

    /// How credentials that fail are answered.
    pub(super) const fn throttle(&self) -> &throttle::Settings {
        &self.throttle
    }

    /// Reads every issuer's keys now, then again and again, until cancelled. One such task must run per directory in use.
    pub async fn keep_key_sets_fresh(&self, cancel: CancellationToken) {
        let fetcher = self.fetcher.as_deref();
        let each = self
            .issuers
            .values()
            .map(|issuer| issuer.keyring.keep_fresh(issuer.freshness, fetcher, &self.clock, &*self.observer, &cancel));
        join_all(each).await;
        cancel.cancelled().await;
    }

    /// How long ago each issuer's keys were last read well; an issuer whose keys never were is not in the list.
    #[must_use]
    pub fn key_set_ages(&self) -> Vec<(Arc<str>, Duration)> {
        let age = |issuer: &Issuer| Some((Arc::clone(&issuer.keyring.issuer), issuer.keyring.age(&self.clock)?));
        self.issuers.values().filter_map(age).collect()
    }

    /// Issuers of whom no key was read yet, or not for too long: none of their tokens can be judged.
    #[must_use]
    pub fn issuers_without_keys(&self) -> Vec<Arc<str>> {
        let without = self.issuers.values().filter(|issuer| issuer.keyring.read().is_none());
        without.map(|issuer| Arc::clone(&issuer.keyring.issuer)).collect()
    }

    /// Whether anyone could be let in, as far as this configuration goes: it has a key, or some issuer's keys are here, or it
    /// expects no tokens.
    #[must_use]
    pub fn can_let_in(&self) -> bool {
        let mut issuers = self.issuers.values();
        !self.keys.is_empty() || self.issuers.is_empty() || issuers.any(|issuer| issuer.keyring.read().is_some())
    }

    /// How many verified tokens are remembered.
    #[must_use]
    pub fn remembered_tokens(&self) -> usize {
        self.tokens.len()
    }

    fn judge(&self, credential: &str) -> Judged {
        if credential.starts_with(PREFIX) {
            Judged::Finally(self.judge_key(credential))
        } else {
            self.judge_token(credential)
        }
    }

    fn judge_key(&self, text: &str) -> Result<Identified, Rejection> {
        let shown = ShownKey::parse(text).ok_or(Rejection::Invalid)?;
        // Hashed before the id is looked up: whether an id exists does not show in the time.
        let hash = SecretHash::of(shown.secret);
        let known = self.keys.get(shown.id).filter(|known| known.hash == hash).ok_or(Rejection::Invalid)?;
        if known.expires_at.is_some_and(|expires_at| self.clock.now() >= expires_at) {
            return Err(Rejection::Expired);
        }
        let_in(known.principal.clone(), Arc::clone(&known.team))
    }

    fn recall_token(&self, token: &str, now: i64) -> Option<Result<Identified, Rejection>> {
        Some(match self.tokens.get(token, now)? {
            Remembered::Good(verified) => let_in(verified.principal.clone(), Arc::clone(&verified.team)),
            Remembered::Expired => Err(Rejection::Expired),
        })
    }

    fn judge_token(&self, token: &str) -> Judged {
        let now = self.clock.now().as_second();
        if let Some(recalled) = self.recall_token(token, now) {
            return Judged::Finally(recalled);
        }
        let said = Unverified::read(token);
        let issuer = said.as_ref().and_then(|said| self.issuers.get(said.claims.issuer()?));
        let (Some(said), Some(issuer)) = (said, issuer) else {
            return Judged::Finally(Err(Rejection::Invalid));
        };
        let keys = issuer.keyring.read();
        let Some(keys) = keys.as_ref() else {
            return Judged::Finally(Err(Rejection::KeysUnavailable));
        };
        match issuer.verifier.prove(&said, keys, now) {
            Ok(proof) => Judged::Finally(self.admit(token, &said, issuer, proof)),
            Err(Unproved::Rejected(rejection)) => Judged::Finally(Err(rejection)),
            Err(Unproved::KeyUnknown) => Judged::KeyUnknown(Arc::clone(&issuer.keyring)),
        }
    }

    fn admit(
        &self,
        token: &str,
        said: &Unverified<'_>,
        issuer: &Issuer,
        proof: Proof,
    ) -> Result<Identified, Rejection> {
        let team = issuer.team(said)?;
        let user = said.claims.user(&issuer.user_claim).ok_or(Rejection::Invalid)?;
        let principal = Principal {
            team: team.id.clone(),
            user,
            credential: Credential::Token { issuer: Arc::clone(&issuer.keyring.issuer) },
            key_models: None,
            key_limits: None,
        };
        let verified = Verified::new(principal.clone(), Arc::clone(&team), proof, Arc::clone(&issuer.keyring));
        self.tokens.remember(token, verified);
        let_in(principal, team)
    }

    fn counted(&self, credential: &str, answer: Result<Identified, Rejection>) -> Result<Identified, Rejection> {
        let kind = if credential.starts_with(PREFIX) { KEY } else { TOKEN };
        self.observer.authenticated(kind, answer.as_ref().err().map_or(OK, |rejection| rejection.name()));
        answer
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "directory of {} keys and {} issuers", self.keys.len(), self.issuers.len())
    }
}

/// The last question, asked every time: may the team and the user call at present?
fn let_in(principal: Principal, team: Arc<Team>) -> Result<Identified, Rejection> {
    match team.state {
        State::Suspended => Err(Rejection::TeamSuspended),
        State::Active if team.suspended_users.contains(&principal.user) => Err(Rejection::TeamSuspended),
        State::Active => Ok((principal, team)),
    }
}
