//! What a directory knows, put together from settings: keys, issuers, and what fetches for them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;

use super::fetch::{FETCH_TIME, Fetcher};
use super::in_force::{InForce, KnownKey};
use super::keyring::{Freshness, Keyring, RenewalError};
use super::observer::Observer;
use super::principal::KeyId;
use super::rejection::Rejection;
use super::settings::{ClaimPath, IssuerSettings, KeySettings, KeySource};
use super::token::{Unverified, Verifier};
use crate::clock::Clock;
use crate::team::{Team, TeamId, UserId};

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

/// An issuer, and the teams its tokens may name.
pub(super) struct Issuer {
    pub(super) verifier: Verifier,
    team_claim: ClaimPath,
    pub(super) user_claim: ClaimPath,
    teams: HashMap<String, Arc<Team>>,
    pub(super) freshness: Freshness,
    pub(super) keyring: Arc<Keyring>,
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
        let IssuerSettings { team_claim, user_claim, refresh, max_stale, .. } = settings;
        let freshness = Freshness { refresh, max_stale };
        Ok(Self { verifier, team_claim, user_claim, teams: named, freshness, keyring })
    }

    /// The one team that the token's team claim names; several names of the same team are one.
    pub(super) fn team(&self, said: &Unverified<'_>) -> Result<Arc<Team>, Rejection> {
        let mut named = said.claims.strings(&self.team_claim).filter_map(|value| self.teams.get(value));
        let first = named.next().ok_or(Rejection::TeamUnknown)?;
        if named.all(|team| team.id == first.id) { Ok(Arc::clone(first)) } else { Err(Rejection::TeamUnknown) }
    }
}

fn team_of(
    teams: &HashMap<TeamId, Arc<Team>>,
    id: TeamId,
    by: impl FnOnce() -> String,
) -> Result<Arc<Team>, DirectoryError> {
    teams.get(&id).cloned().ok_or_else(|| DirectoryError::TeamUnknown { by: by(), team: id })
}

/// The user a key speaks for: the one it names, or the key itself.
pub(super) fn user_of(id: &KeyId, named: Option<UserId>) -> Result<UserId, DirectoryError> {
    let itself = || UserId::parse(&format!("key:{id}"));
    named.or_else(itself).ok_or_else(|| DirectoryError::KeyWithoutUser(id.clone()))
}

/// The keys of a configuration; their uses are counted on from `before`.
pub(super) fn known_keys(
    settings: Vec<KeySettings>,
    teams: &HashMap<TeamId, Arc<Team>>,
    before: Option<&InForce>,
) -> Result<HashMap<KeyId, Arc<KnownKey>>, DirectoryError> {
    let mut keys = HashMap::with_capacity(settings.len());
    for key in settings {
        let (id, team) = (key.id.clone(), team_of(teams, key.team.clone(), || format!("the key {}", key.id))?);
        let known = KnownKey::of_configuration(key, team)?.counting_on(before);
        if keys.insert(id.clone(), Arc::new(known)).is_some() {
            return Err(DirectoryError::KeyTwice(id));
        }
    }
    Ok(keys)
}

/// The previous fetcher if it can do what is needed, or a new one; none when nothing is fetched.
pub(super) fn fetcher(
    issuers: &[IssuerSettings],
    previous: Option<&Arc<Fetcher>>,
) -> Result<Option<Arc<Fetcher>>, DirectoryError> {
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
    match previous.filter(|fetcher| fetcher.is_secure() || !secure) {
        Some(kept) => Ok(Some(Arc::clone(kept))),
        None => Fetcher::new(secure, FETCH_TIME).map(Arc::new).map(Some).map_err(DirectoryError::Trust),
    }
}

/// The issuers of a configuration; `kept` says which keyring an issuer had before.
pub(super) fn known_issuers(
    settings: Vec<IssuerSettings>,
    teams: &HashMap<TeamId, Arc<Team>>,
    kept: impl Fn(&str) -> Option<Arc<Keyring>>,
    clock: &Clock,
    observer: &dyn Observer,
) -> Result<HashMap<Arc<str>, Issuer>, DirectoryError> {
    let mut issuers = HashMap::with_capacity(settings.len());
    for issuer in settings {
        match issuers.entry(Arc::clone(&issuer.issuer)) {
            Entry::Occupied(_) => return Err(DirectoryError::IssuerTwice(issuer.issuer)),
            Entry::Vacant(place) => {
                let keyring = keyring(&issuer, kept(&issuer.issuer), clock, observer)?;
                place.insert(Issuer::new(issuer, teams, keyring)?);
            }
        }
    }
    Ok(issuers)
}

/// The keyring of an issuer: the one it had when its source is the same, else a new one. Files are read at once.
fn keyring(
    settings: &IssuerSettings,
    kept: Option<Arc<Keyring>>,
    clock: &Clock,
    observer: &dyn Observer,
) -> Result<Arc<Keyring>, DirectoryError> {
    let kept = kept.filter(|keyring| keyring.source == settings.keys);
    let keyring = kept.unwrap_or_else(|| Arc::new(Keyring::new(Arc::clone(&settings.issuer), settings.keys.clone())));
    match keyring.read_file_now(clock, observer) {
        Err(problem) if keyring.read().is_none() => {
            Err(DirectoryError::KeyFile { issuer: Arc::clone(&settings.issuer), problem })
        }
        Ok(()) | Err(_) => Ok(keyring),
    }
}
