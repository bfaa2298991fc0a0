//! Everyone who may call, as one configuration describes them; a reload replaces it whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::cache::{Remembered, TOKENS_MAX, Verified, VerifiedTokens};
use super::in_force::{InForce, KnownKey};
use super::key::PREFIX;
use super::keyring::Keyring;
use super::known::{DirectoryError, Issuer, known_issuers, known_keys};
use super::lane::Lane;
use super::observer::{KEY, OK, Observer, THROTTLED, TOKEN};
use super::principal::{Credential, KeyId, Principal};
use super::register::Register;
use super::rejection::Rejection;
use super::settings::{KeySettings, Settings};
use super::throttle;
use super::token::{Proof, Unproved, Unverified};
use crate::clock::Clock;
use crate::live::Live;
use crate::team::{State, Team, TeamId};

/// Who a credential speaks for, with the team as this configuration describes it.
pub type Identified = (Principal, Arc<Team>);

/// Who may call.
pub struct Directory {
    configured: HashMap<KeyId, Arc<KnownKey>>,
    configured_keys: Vec<KeySettings>,
    in_force: ArcSwap<InForce>,
    teams: HashMap<TeamId, Arc<Team>>,
    issuers: HashMap<Arc<str>, Issuer>,
    tokens: VerifiedTokens,
    throttle: throttle::Settings,
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
        register: &Arc<Register>,
        previous: Option<&Self>,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, DirectoryError> {
        let configured_keys = settings.keys.clone();
        let before = previous.map(|previous| previous.in_force.load_full());
        let configured = known_keys(settings.keys, teams, before.as_deref())?;
        let in_force = InForce::new(&configured, register, teams, before.as_deref());
        let before = previous.map(|previous| &previous.issuers);
        let issuers = known_issuers(settings.issuers, teams, before, &clock, &*observer)?;
        let (in_force, teams) = (ArcSwap::from_pointee(in_force), teams.clone());
        Ok(Self {
            configured,
            configured_keys,
            in_force,
            teams,
            issuers,
            tokens: VerifiedTokens::new(TOKENS_MAX),
            throttle: settings.throttle,
            observer,
            clock,
        })
    }

    /// Puts the register in force as it is now. Whoever does this last sees the newest state: a reload and a change of the
    /// register may do it at the same time.
    pub fn take_up(&self, register: &Live<Register>) {
        let mut now = register.read();
        loop {
            let before = self.in_force.load_full();
            self.in_force.store(Arc::new(InForce::new(&self.configured, &now, &self.teams, Some(&before))));
            let newest = register.read();
            if Arc::ptr_eq(&now, &newest) {
                return;
            }
            now = newest;
        }
    }

    /// The gateway keys of the configuration.
    #[must_use]
    pub fn configured_keys(&self) -> &[KeySettings] {
        &self.configured_keys
    }

    /// When each gateway key was used last, in seconds since 1970, as far as this process knows.
    #[must_use]
    pub fn uses(&self) -> Vec<(KeyId, i64)> {
        self.in_force.load().uses()
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
        let each = self.issuers.values().map(|issuer| {
            let (freshness, fetcher) = (issuer.freshness, issuer.fetcher.as_deref());
            issuer.keyring.keep_fresh(freshness, fetcher, &self.clock, &*self.observer, &cancel)
        });
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

    /// Whether anyone could be let in, as far as is known: there is a key, or some issuer's keys are here, or it
    /// expects no tokens.
    #[must_use]
    pub fn can_let_in(&self) -> bool {
        let mut issuers = self.issuers.values();
        self.in_force.load().keys() > 0
            || self.issuers.is_empty()
            || issuers.any(|issuer| issuer.keyring.read().is_some())
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
        let (principal, team) = self.in_force.load().judge_key(text, self.clock.now())?;
        self.let_in(principal, team)
    }

    fn recall_token(&self, token: &str, now: i64) -> Option<Result<Identified, Rejection>> {
        Some(match self.tokens.get(token, now)? {
            Remembered::Good(verified) => self.let_in(verified.principal.clone(), Arc::clone(&verified.team)),
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
        self.let_in(principal, team)
    }

    /// The last question, asked every time: may the team and the user call at present?
    fn let_in(&self, principal: Principal, team: Arc<Team>) -> Result<Identified, Rejection> {
        match team.state {
            State::Suspended => Err(Rejection::TeamSuspended),
            State::Active if team.suspended_users.contains(&principal.user) => Err(Rejection::TeamSuspended),
            State::Active if self.in_force.load().suspends(&principal) => Err(Rejection::TeamSuspended),
            State::Active => Ok((principal, team)),
        }
    }

    fn counted(&self, credential: &str, answer: Result<Identified, Rejection>) -> Result<Identified, Rejection> {
        let kind = if credential.starts_with(PREFIX) { KEY } else { TOKEN };
        self.observer.authenticated(kind, answer.as_ref().err().map_or(OK, |rejection| rejection.name()));
        answer
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "directory of {} keys and {} issuers", self.in_force.load().keys(), self.issuers.len())
    }
}
