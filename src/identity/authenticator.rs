//! Authenticates every caller that one configuration admits; a reload replaces it as a whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::active_keys::{ActiveKeys, KnownKey};
use super::authenticator_error::AuthenticatorError;
use super::build::{Issuer, build_issuers, build_keys};
use super::cache::{Remembered, TOKENS_MAX, Verified, VerifiedTokens};
use super::failed_check::FailedCheck;
use super::issuer_keys::IssuerKeys;
use super::key::PREFIX;
use super::key_registry::KeyRegistry;
use super::observer::{KEY, OK, Observer, THROTTLED, TOKEN};
use super::presented::Presented;
use super::principal::{Identified, Principal};
use super::refusal_log::{Reason, RefusalLog};
use super::rejection::Rejection;
use super::settings::{KeySettings, Settings};
use super::throttle;
use super::token::{Unproved, Unverified};
use super::verification_pool::VerificationPool;
use crate::clock::Clock;
use crate::live::Live;
use crate::team::{Credential, KeyId, State, Team, TeamId};

/// Issuers, keys and suspensions in force.
pub struct Authenticator {
    configured: HashMap<KeyId, Arc<KnownKey>>,
    configured_keys: Vec<KeySettings>,
    active_keys: ArcSwap<ActiveKeys>,
    teams: HashMap<TeamId, Arc<Team>>,
    pub(super) issuers: HashMap<Arc<str>, Issuer>,
    tokens: VerifiedTokens,
    throttle: throttle::Settings,
    observer: Arc<dyn Observer>,
    refusals: RefusalLog,
    pub(super) clock: Clock,
}

/// Result of judging a credential without waiting.
pub(super) enum Judged {
    Finally(Result<Identified, FailedCheck>),
    /// The token names an unknown key; this issuer's keys may be read again.
    KeyUnknown(Arc<IssuerKeys>),
}

impl Authenticator {
    /// Builds an authenticator. Issuers with the same source as in `previous` keep their keys;
    /// verified tokens are dropped. Reads key files on this thread. Fetches nothing: that begins
    /// with [`Authenticator::keep_key_sets_fresh`].
    pub fn new(
        settings: Settings,
        teams: &HashMap<TeamId, Arc<Team>>,
        registry: &Arc<KeyRegistry>,
        previous: Option<&Self>,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, AuthenticatorError> {
        let configured_keys = settings.keys.clone();
        let before = previous.map(|previous| previous.active_keys.load_full());
        let configured = build_keys(settings.keys, teams, before.as_deref())?;
        let active_keys = ActiveKeys::new(&configured, registry, teams, before.as_deref());
        let before = previous.map(|previous| &previous.issuers);
        let issuers = build_issuers(settings.issuers, teams, before, &clock, &*observer)?;
        let (active_keys, teams) = (ArcSwap::from_pointee(active_keys), teams.clone());
        Ok(Self {
            configured,
            configured_keys,
            active_keys,
            teams,
            issuers,
            tokens: VerifiedTokens::new(TOKENS_MAX),
            throttle: settings.throttle,
            observer,
            refusals: RefusalLog::default(),
            clock,
        })
    }

    /// Applies the current registry. A reload and a change of the registry may do this at the same
    /// time; both read the newest.
    pub fn take_up(&self, registry: &Live<KeyRegistry>) {
        let mut now = registry.read();
        loop {
            let before = self.active_keys.load_full();
            self.active_keys.store(Arc::new(ActiveKeys::new(
                &self.configured,
                &now,
                &self.teams,
                Some(&before),
            )));
            let newest = registry.read();
            if Arc::ptr_eq(&now, &newest) {
                return;
            }
            now = newest;
        }
    }

    /// The configuration's gateway keys.
    #[must_use]
    pub fn configured_keys(&self) -> &[KeySettings] {
        &self.configured_keys
    }

    /// When each gateway key was last used, in seconds since 1970, as known to this process.
    #[must_use]
    pub fn uses(&self) -> Vec<(KeyId, i64)> {
        self.active_keys.load().uses()
    }

    /// When the first key of each team expires, of those that are good now; teams without one are
    /// left out.
    #[must_use]
    pub fn first_expiries(&self, now: Timestamp) -> HashMap<TeamId, Timestamp> {
        self.active_keys.load().first_expiries(now)
    }

    /// Judges a credential that takes next to no work: a gateway key, or a token that was verified
    /// before. `None` for all others.
    pub fn lookup_cached<'a>(
        &self,
        presented: impl Into<Presented<'a>>,
    ) -> Option<Result<Identified, Rejection>> {
        let presented = presented.into();
        let answer = if presented.credential.starts_with(PREFIX) {
            self.judge_key(presented)
        } else {
            self.recall_token(presented, self.clock.now().as_second())?
        };
        Some(self.counted(presented, answer))
    }

    /// Judges a credential now, on this thread. `None` for a token with an unknown key whose issuer
    /// may be asked again: that is for `Authenticator::identify`.
    pub fn authenticate_now<'a>(
        &self,
        presented: impl Into<Presented<'a>>,
    ) -> Option<Result<Identified, Rejection>> {
        let presented = presented.into();
        match self.judge(presented) {
            Judged::Finally(answer) => Some(self.counted(presented, answer)),
            Judged::KeyUnknown(keyring) if keyring.may_be_asked(&self.clock) => None,
            Judged::KeyUnknown(_) => Some(self.counted(presented, Err(FailedCheck::KeyUnknown))),
        }
    }

    /// Judges a credential in the verification pool. Waits a bounded time for the issuer if only
    /// newer keys can decide.
    pub(super) async fn identify(
        self: &Arc<Self>,
        presented: Presented<'_>,
        pool: &VerificationPool,
    ) -> Result<Identified, Rejection> {
        let credential: Arc<str> = presented.credential.into();
        let judge = || {
            let (authenticator, credential, team) =
                (Arc::clone(self), Arc::clone(&credential), presented.team.cloned());
            pool.run(move || {
                authenticator.judge(Presented { credential: &credential, team: team.as_ref() })
            })
        };
        let mut judged = judge().await;
        if let Some(Judged::KeyUnknown(keyring)) = &judged {
            judged = if keyring.ask(&self.clock).await { judge().await } else { None };
        }
        let answer = match judged {
            Some(Judged::Finally(answer)) => answer,
            Some(Judged::KeyUnknown(_)) => Err(FailedCheck::KeyUnknown),
            None => Err(FailedCheck::Overloaded),
        };
        self.counted(presented, answer)
    }

    /// The teams of a verified token, for its bearer to choose from.
    pub fn teams_of(&self, token: &str) -> Vec<TeamId> {
        match self.tokens.get(token, self.clock.now().as_second()) {
            Some(Remembered::Good(verified)) => {
                verified.teams.iter().map(|team| team.id.clone()).collect()
            }
            Some(Remembered::Expired) | None => Vec::new(),
        }
    }

    /// Counts a token that was not checked because too many had failed before it.
    pub(super) fn not_looked_at(&self) {
        self.observer.authenticated(TOKEN, THROTTLED);
    }

    /// How failed credentials are throttled.
    pub(super) const fn throttle(&self) -> &throttle::Settings {
        &self.throttle
    }

    /// Reads every issuer's keys now and then regularly, until cancelled. Each authenticator in use
    /// needs one such task.
    pub async fn keep_key_sets_fresh(&self, cancel: CancellationToken) {
        let each = self.issuers.values().map(|issuer| {
            let (freshness, fetcher) = (issuer.freshness, issuer.fetcher.as_deref());
            issuer.keyring.keep_fresh(freshness, fetcher, &self.clock, &*self.observer, &cancel)
        });
        join_all(each).await;
        cancel.cancelled().await;
    }

    /// How long ago each issuer's keys were read successfully; leaves out issuers whose keys never
    /// were.
    #[must_use]
    pub fn key_set_ages(&self) -> Vec<(Arc<str>, Duration)> {
        let age = |issuer: &Issuer| {
            Some((Arc::clone(&issuer.keyring.issuer), issuer.keyring.age(&self.clock)?))
        };
        self.issuers.values().filter_map(age).collect()
    }

    /// The configured issuers.
    pub fn issuers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.issuers.values().map(|issuer| &issuer.keyring.issuer)
    }

    /// Issuers without keys, or with keys that are too old: their tokens cannot be judged.
    #[must_use]
    pub fn issuers_without_keys(&self) -> Vec<Arc<str>> {
        let without = self.issuers.values().filter(|issuer| issuer.keyring.read().is_none());
        without.map(|issuer| Arc::clone(&issuer.keyring.issuer)).collect()
    }

    /// Number of cached tokens.
    #[must_use]
    pub fn remembered_tokens(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn judge(&self, presented: Presented<'_>) -> Judged {
        if presented.credential.starts_with(PREFIX) {
            Judged::Finally(self.judge_key(presented))
        } else {
            self.judge_token(presented)
        }
    }

    fn judge_key(&self, presented: Presented<'_>) -> Result<Identified, FailedCheck> {
        let (principal, team) =
            self.active_keys.load().judge_key(presented.credential, self.clock.now())?;
        chosen(std::slice::from_ref(&team), presented.team)?;
        self.let_in(principal, team)
    }

    fn recall_token(
        &self,
        presented: Presented<'_>,
        now: i64,
    ) -> Option<Result<Identified, FailedCheck>> {
        Some(match self.tokens.get(presented.credential, now)? {
            Remembered::Good(verified) => self.admit(&verified, presented.team),
            Remembered::Expired => Err(FailedCheck::Expired),
        })
    }

    fn judge_token(&self, presented: Presented<'_>) -> Judged {
        let now = self.clock.now().as_second();
        if let Some(recalled) = self.recall_token(presented, now) {
            return Judged::Finally(recalled);
        }
        let token = match Unverified::read(presented.credential) {
            Ok(token) => token,
            Err(misread) => return Judged::Finally(Err(misread.check())),
        };
        let Some(issuer) = self.issuer_of(&token) else {
            return Judged::Finally(Err(FailedCheck::Issuer));
        };
        let keys = issuer.keyring.read();
        let Some(keys) = keys.as_ref() else {
            return Judged::Finally(Err(FailedCheck::KeysUnavailable));
        };
        match issuer.verifier.prove(&token, keys, now) {
            Ok(proof) => {
                let teams = issuer.teams(&token).into_boxed_slice();
                let Some(user) =
                    token.claims.user(&issuer.user_claim).filter(|_| !teams.is_empty())
                else {
                    let check =
                        if teams.is_empty() { FailedCheck::TeamUnknown } else { FailedCheck::User };
                    return Judged::Finally(Err(check));
                };
                let verified =
                    Arc::new(Verified::new(user, teams, Arc::clone(&issuer.keyring), proof));
                self.tokens.remember(presented.credential, &verified);
                Judged::Finally(self.admit(&verified, presented.team))
            }
            Err(Unproved::Failed(check)) => Judged::Finally(Err(check)),
            Err(Unproved::KeyUnknown) => Judged::KeyUnknown(Arc::clone(&issuer.keyring)),
        }
    }

    /// The issuer that a token names.
    pub(super) fn issuer_of(&self, token: &Unverified<'_>) -> Option<&Issuer> {
        self.issuers.get(token.claims.issuer()?)
    }

    /// Admits the bearer of a verified token for one of its teams. The signature was checked once;
    /// team and suspension are checked each time.
    fn admit(
        &self,
        verified: &Verified,
        choice: Option<&TeamId>,
    ) -> Result<Identified, FailedCheck> {
        let team = chosen(&verified.teams, choice)?;
        let principal = Principal {
            team: team.id.clone(),
            user: verified.user.clone(),
            credential: Credential::Token { issuer: Arc::clone(&verified.keyring.issuer) },
            key_models: None,
            key_limits: None,
        };
        self.let_in(Arc::new(principal), Arc::clone(team))
    }

    /// Checks suspensions, each time and last.
    fn let_in(
        &self,
        principal: Arc<Principal>,
        team: Arc<Team>,
    ) -> Result<Identified, FailedCheck> {
        match team.state {
            State::Suspended => Err(FailedCheck::TeamSuspended),
            State::Active if team.suspended_users.contains(&principal.user) => {
                Err(FailedCheck::TeamSuspended)
            }
            State::Active if self.active_keys.load().suspends(&principal) => {
                Err(FailedCheck::TeamSuspended)
            }
            State::Active => Ok((principal, team)),
        }
    }

    /// Counts the result. Logs why a credential was rejected, since the answer to the caller says
    /// less.
    fn counted(
        &self,
        presented: Presented<'_>,
        answer: Result<Identified, FailedCheck>,
    ) -> Result<Identified, Rejection> {
        let kind = if presented.credential.starts_with(PREFIX) { KEY } else { TOKEN };
        let check = match answer {
            Ok(identified) => {
                self.observer.authenticated(kind, OK);
                return Ok(identified);
            }
            Err(check) => check,
        };
        self.observer.authenticated(kind, check.name());
        if let Some(left_out) = self.refusals.admits(check, self.clock.elapsed()) {
            let Reason { issuer, kid, why } = self.reason(presented, check);
            tracing::info!(
                kind,
                check = check.name(),
                issuer,
                kid,
                why,
                left_out,
                "a credential was refused"
            );
        }
        Err(check.rejection())
    }
}

/// The team that a caller acts for: the one it chose, if it belongs to that, or its only one.
pub(super) fn chosen<'t>(
    teams: &'t [Arc<Team>],
    choice: Option<&TeamId>,
) -> Result<&'t Arc<Team>, FailedCheck> {
    match (choice, teams) {
        (_, []) => Err(FailedCheck::TeamUnknown),
        (Some(choice), teams) => {
            teams.iter().find(|team| team.id == *choice).ok_or(FailedCheck::TeamNotTheirs)
        }
        (None, [team]) => Ok(team),
        (None, [_, _, ..]) => Err(FailedCheck::TeamAmbiguous),
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "directory of {} keys and {} issuers",
            self.active_keys.load().keys(),
            self.issuers.len()
        )
    }
}
