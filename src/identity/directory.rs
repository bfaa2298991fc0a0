//! Everyone who may call, as one configuration describes them; a reload replaces it whole.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::cache::{Remembered, TOKENS_MAX, Verified, VerifiedTokens};
use super::fetch::{FETCH_TIME, Fetcher};
use super::key::{PREFIX, SecretHash, ShownKey};
use super::keyring::Keyring;
pub use super::keyring::RenewalError;
use super::observer::{KEY, OK, Observer, TOKEN};
use super::principal::{Credential, KeyId, Principal};
use super::rejection::Rejection;
use super::settings::{ClaimPath, IssuerSettings, KeySettings, KeySource, Settings};
use super::token::{Proof, Unproved, Unverified, Verifier};
use crate::clock::Clock;
use crate::team::{State, Team, TeamId, UserId};

/// Who a credential speaks for, with the team as this configuration describes it.
pub type Identified = (Principal, Arc<Team>);

/// Settings that no directory can be made of.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A key or an issuer's map names a team that there is not.
    #[error("{by} names the team {team}, which does not exist")]
    TeamUnknown {
        /// What names it.
        by: String,
        /// The name.
        team: TeamId,
    },
    /// Two keys have one id.
    #[error("the key id {0} is used twice")]
    KeyTwice(KeyId),
    /// A key names no user and none can be made of its id. An id is always a good name, so this is not seen.
    #[error("the key {0} stands for no user")]
    KeyWithoutUser(KeyId),
    /// Two entries for one issuer.
    #[error("the issuer {0} is listed twice")]
    IssuerTwice(Arc<str>),
    /// An issuer's key file cannot be used, and no earlier keys of it are held.
    #[error("the key file of the issuer {issuer}: {problem}")]
    KeyFile {
        /// Whose file.
        issuer: Arc<str>,
        /// What is wrong with it.
        problem: RenewalError,
    },
    /// The certificate authorities of the machine cannot be read, and an issuer is to be reached by https.
    #[error("no certificate authority is trusted on this machine: {0}")]
    Trust(io::Error),
}

/// Who may call.
pub struct Directory {
    keys: HashMap<KeyId, KnownKey>,
    issuers: HashMap<Arc<str>, Issuer>,
    tokens: VerifiedTokens,
    fetcher: Option<Arc<Fetcher>>,
    observer: Arc<dyn Observer>,
    clock: Clock,
}

struct KnownKey {
    hash: SecretHash,
    principal: Principal,
    team: Arc<Team>,
    expires_at: Option<jiff::Timestamp>,
}

struct Issuer {
    verifier: Verifier,
    team_claim: ClaimPath,
    user_claim: ClaimPath,
    teams: HashMap<String, Arc<Team>>,
    refresh: Duration,
    keyring: Arc<Keyring>,
}

/// How far a credential was judged without waiting for anything.
enum Judged<'a> {
    Finally(Result<Identified, Rejection>),
    /// A token says a key that is not known; this keyring may be asked to read again.
    KeyUnknown(&'a Keyring),
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
        let fetcher = fetcher(&settings.issuers, previous)?;
        let mut issuers = HashMap::new();
        for issuer in settings.issuers {
            match issuers.entry(Arc::clone(&issuer.issuer)) {
                Entry::Occupied(_) => return Err(DirectoryError::IssuerTwice(issuer.issuer)),
                Entry::Vacant(place) => {
                    let keyring = keyring(&issuer, previous, &clock, &*observer)?;
                    place.insert(Issuer::new(issuer, teams, keyring)?);
                }
            }
        }
        Ok(Self { keys, issuers, tokens: VerifiedTokens::new(TOKENS_MAX), fetcher, observer, clock })
    }

    /// Judges a credential now, unless it is a token of a key that is not known and the issuer may be asked again: then `None`, and
    /// [`Directory::identify`] asks.
    pub fn identify_now(&self, credential: &str) -> Option<Result<Identified, Rejection>> {
        match self.judge(credential) {
            Judged::Finally(answer) => Some(self.counted(credential, answer)),
            Judged::KeyUnknown(keyring) if keyring.may_be_asked(&self.clock) => None,
            Judged::KeyUnknown(_) => Some(self.counted(credential, Err(Rejection::Invalid))),
        }
    }

    /// Judges a credential; waits for the issuer, bounded, when only newer keys can tell.
    pub async fn identify(&self, credential: &str) -> Result<Identified, Rejection> {
        let mut judged = self.judge(credential);
        if let Judged::KeyUnknown(keyring) = judged {
            keyring.ask(&self.clock).await;
            judged = self.judge(credential);
        }
        match judged {
            Judged::Finally(answer) => self.counted(credential, answer),
            Judged::KeyUnknown(_) => self.counted(credential, Err(Rejection::Invalid)),
        }
    }

    /// Reads every issuer's keys now, then again and again, until cancelled. One such task must run per directory in use.
    pub async fn keep_key_sets_fresh(&self, cancel: CancellationToken) {
        let fetcher = self.fetcher.as_deref();
        let each = self
            .issuers
            .values()
            .map(|issuer| issuer.keyring.keep_fresh(issuer.refresh, fetcher, &self.clock, &*self.observer, &cancel));
        join_all(each).await;
        cancel.cancelled().await;
    }

    /// How long ago each issuer's keys were last read well; an issuer whose keys never were is not in the list.
    #[must_use]
    pub fn key_set_ages(&self) -> Vec<(Arc<str>, Duration)> {
        let age = |issuer: &Issuer| Some((Arc::clone(&issuer.keyring.issuer), issuer.keyring.age(&self.clock)?));
        self.issuers.values().filter_map(age).collect()
    }

    /// Issuers of whom no key was ever read: none of their tokens can be judged.
    #[must_use]
    pub fn issuers_without_keys(&self) -> Vec<Arc<str>> {
        let without = self.issuers.values().filter(|issuer| issuer.keyring.read().is_none());
        without.map(|issuer| Arc::clone(&issuer.keyring.issuer)).collect()
    }

    /// How many verified tokens are remembered.
    #[must_use]
    pub fn remembered_tokens(&self) -> usize {
        self.tokens.len()
    }

    fn judge(&self, credential: &str) -> Judged<'_> {
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

    fn judge_token(&self, token: &str) -> Judged<'_> {
        let now = self.clock.now().as_second();
        match self.tokens.get(token, now) {
            Some(Remembered::Good(verified)) => {
                return Judged::Finally(let_in(verified.principal.clone(), Arc::clone(&verified.team)));
            }
            Some(Remembered::Expired) => return Judged::Finally(Err(Rejection::Expired)),
            None => {}
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
        match issuer.verifier.prove(token, &said, keys, now) {
            Ok(proof) => Judged::Finally(self.admit(token, &said, issuer, proof)),
            Err(Unproved::Rejected(rejection)) => Judged::Finally(Err(rejection)),
            Err(Unproved::KeyUnknown) => Judged::KeyUnknown(&issuer.keyring),
        }
    }

    fn admit(&self, token: &str, said: &Unverified, issuer: &Issuer, proof: Proof) -> Result<Identified, Rejection> {
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

impl Issuer {
    fn new(
        settings: IssuerSettings,
        teams: &HashMap<TeamId, Arc<Team>>,
        keyring: Arc<Keyring>,
    ) -> Result<Self, DirectoryError> {
        let verifier = Verifier::new(&settings);
        let mut named = HashMap::with_capacity(settings.teams.len());
        for (value, id) in settings.teams {
            let by = || format!("the issuer {}", settings.issuer);
            named.insert(value, team_of(teams, id, by)?);
        }
        let IssuerSettings { team_claim, user_claim, refresh, .. } = settings;
        Ok(Self { verifier, team_claim, user_claim, teams: named, refresh, keyring })
    }

    /// The one team that the token's team claim names; several names of the same team are one.
    fn team(&self, said: &Unverified) -> Result<Arc<Team>, Rejection> {
        let mut named = said.claims.strings(&self.team_claim).filter_map(|value| self.teams.get(value));
        let first = named.next().ok_or(Rejection::TeamUnknown)?;
        if named.all(|team| team.id == first.id) { Ok(Arc::clone(first)) } else { Err(Rejection::TeamUnknown) }
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

fn team_of(
    teams: &HashMap<TeamId, Arc<Team>>,
    id: TeamId,
    by: impl FnOnce() -> String,
) -> Result<Arc<Team>, DirectoryError> {
    teams.get(&id).cloned().ok_or_else(|| DirectoryError::TeamUnknown { by: by(), team: id })
}

fn known_keys(
    settings: Vec<KeySettings>,
    teams: &HashMap<TeamId, Arc<Team>>,
) -> Result<HashMap<KeyId, KnownKey>, DirectoryError> {
    let mut keys = HashMap::with_capacity(settings.len());
    for key in settings {
        let team = team_of(teams, key.team, || format!("the key {}", key.id))?;
        let user = key
            .user
            .or_else(|| UserId::parse(&format!("key:{}", key.id)))
            .ok_or_else(|| DirectoryError::KeyWithoutUser(key.id.clone()))?;
        let principal = Principal {
            team: team.id.clone(),
            user,
            credential: Credential::Key(key.id.clone()),
            key_models: key.models,
            key_limits: key.limits,
        };
        match keys.entry(key.id) {
            Entry::Occupied(taken) => return Err(DirectoryError::KeyTwice(taken.key().clone())),
            Entry::Vacant(place) => {
                place.insert(KnownKey { hash: key.sha256, principal, team, expires_at: key.expires_at })
            }
        };
    }
    Ok(keys)
}

/// The previous fetcher if it can do what is needed, or a new one; none when nothing is fetched.
fn fetcher(issuers: &[IssuerSettings], previous: Option<&Directory>) -> Result<Option<Arc<Fetcher>>, DirectoryError> {
    let urls = issuers.iter().filter_map(|issuer| match &issuer.keys {
        KeySource::Url(url) => Some(url.as_str()),
        KeySource::Discovery => Some(&*issuer.issuer),
        KeySource::File(_) => None,
    });
    let urls: Vec<&str> = urls.collect();
    if urls.is_empty() {
        return Ok(None);
    }
    let secure = urls.iter().any(|url| url.starts_with("https:"));
    match previous.and_then(|previous| previous.fetcher.clone()).filter(|fetcher| fetcher.is_secure() || !secure) {
        Some(kept) => Ok(Some(kept)),
        None => Fetcher::new(secure, FETCH_TIME).map(Arc::new).map(Some).map_err(DirectoryError::Trust),
    }
}

/// The keyring of an issuer: kept from the previous directory when its source is the same, else new. Files are read at once.
fn keyring(
    settings: &IssuerSettings,
    previous: Option<&Directory>,
    clock: &Clock,
    observer: &dyn Observer,
) -> Result<Arc<Keyring>, DirectoryError> {
    let kept = previous
        .and_then(|previous| previous.issuers.get(&settings.issuer))
        .map(|issuer| Arc::clone(&issuer.keyring))
        .filter(|keyring| keyring.source == settings.keys);
    let keyring = kept.unwrap_or_else(|| Arc::new(Keyring::new(Arc::clone(&settings.issuer), settings.keys.clone())));
    match keyring.read_file_now(clock, observer) {
        Err(problem) if keyring.read().is_none() => {
            Err(DirectoryError::KeyFile { issuer: Arc::clone(&settings.issuer), problem })
        }
        Ok(()) | Err(_) => Ok(keyring),
    }
}
