//! Builds an authenticator from settings: keys, issuers and their fetchers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::active_keys::{ActiveKeys, KnownKey};
use super::authenticator_error::{AuthenticatorError, team_of};
use super::fetch::{FETCH_TIME, Fetcher};
use super::issuer_keys::{Freshness, IssuerKeys};
use super::observer::Observer;
use super::settings::{ClaimPath, IssuerSettings, KeySettings, KeySource};
use super::token::{Unverified, Verifier};
use crate::clock::Clock;
use crate::team::{KeyId, Team, TeamId};

/// An issuer with its teams.
pub(super) struct Issuer {
    pub(super) verifier: Verifier,
    pub(super) team_claim: ClaimPath,
    pub(super) user_claim: ClaimPath,
    teams: HashMap<String, Arc<Team>>,
    pub(super) freshness: Freshness,
    pub(super) keyring: Arc<IssuerKeys>,
    /// Fetcher of its keys, if they are fetched.
    pub(super) fetcher: Option<Arc<Fetcher>>,
}

impl Issuer {
    fn new(
        settings: IssuerSettings,
        teams: &HashMap<TeamId, Arc<Team>>,
        keyring: Arc<IssuerKeys>,
        fetcher: Option<Arc<Fetcher>>,
    ) -> Result<Self, AuthenticatorError> {
        let verifier = Verifier::new(&settings);
        let mut named = HashMap::with_capacity(settings.teams.len());
        for (value, id) in settings.teams {
            let by = || format!("the issuer {}", settings.issuer);
            named.insert(value, team_of(teams, id, by)?);
        }
        let IssuerSettings { team_claim, user_claim, refresh, max_stale, .. } = settings;
        let freshness = Freshness { refresh, max_stale };
        Ok(Self { verifier, team_claim, user_claim, teams: named, freshness, keyring, fetcher })
    }

    /// Teams in the token's team claim, each once.
    pub(super) fn teams(&self, token: &Unverified<'_>) -> Vec<Arc<Team>> {
        let mut teams: Vec<Arc<Team>> = Vec::new();
        for team in token.claims.strings(&self.team_claim).filter_map(|value| self.teams.get(value))
        {
            if !teams.iter().any(|known| known.id == team.id) {
                teams.push(Arc::clone(team));
            }
        }
        teams
    }

    /// Values of the team claim that map to a team, in no order.
    pub(super) fn known_values(&self) -> impl Iterator<Item = &str> {
        self.teams.keys().map(String::as_str)
    }
}

/// Keys of the configuration; they share the use counters of `before`.
pub(super) fn build_keys(
    settings: Vec<KeySettings>,
    teams: &HashMap<TeamId, Arc<Team>>,
    before: Option<&ActiveKeys>,
) -> Result<HashMap<KeyId, Arc<KnownKey>>, AuthenticatorError> {
    let mut keys = HashMap::with_capacity(settings.len());
    for key in settings {
        let (id, team) =
            (key.id.clone(), team_of(teams, key.team.clone(), || format!("the key {}", key.id))?);
        let known = KnownKey::of_configuration(key, team)?.counting_on(before);
        if keys.insert(id.clone(), Arc::new(known)).is_some() {
            return Err(AuthenticatorError::KeyTwice(id));
        }
    }
    Ok(keys)
}

/// The fetcher for an issuer: an existing one with the same settings, or a new one; none if its
/// keys are not fetched.
fn fetcher(
    settings: &IssuerSettings,
    there: &mut Vec<Arc<Fetcher>>,
) -> Result<Option<Arc<Fetcher>>, AuthenticatorError> {
    let url = match &settings.keys {
        KeySource::Url(url) => url.as_str(),
        KeySource::Discovery => &*settings.issuer,
        KeySource::File(_) => return Ok(None),
    };
    let (secure, authorities) = (url.starts_with("https:"), settings.authorities.as_ref());
    if let Some(known) =
        there.iter().find(|known| known.serves(secure, authorities.map(AsRef::as_ref)))
    {
        return Ok(Some(Arc::clone(known)));
    }
    let made = Fetcher::new(secure, authorities.cloned(), FETCH_TIME);
    let made = made.map_err(|error| AuthenticatorError::Trust {
        issuer: Arc::clone(&settings.issuer),
        error,
    })?;
    there.push(Arc::new(made));
    Ok(there.last().cloned())
}

/// Issuers of the configuration, with their earlier keys and fetchers where their settings are the
/// same.
pub(super) fn build_issuers(
    settings: Vec<IssuerSettings>,
    teams: &HashMap<TeamId, Arc<Team>>,
    before: Option<&HashMap<Arc<str>, Issuer>>,
    clock: &Clock,
    observer: &dyn Observer,
) -> Result<HashMap<Arc<str>, Issuer>, AuthenticatorError> {
    let mut issuers = HashMap::with_capacity(settings.len());
    let before = |issuer: &str| before?.get(issuer);
    let mut fetchers: Vec<Arc<Fetcher>> =
        settings.iter().filter_map(|issuer| before(&issuer.issuer)?.fetcher.clone()).collect();
    for issuer in settings {
        match issuers.entry(Arc::clone(&issuer.issuer)) {
            Entry::Occupied(_) => return Err(AuthenticatorError::IssuerTwice(issuer.issuer)),
            Entry::Vacant(place) => {
                let kept = before(&issuer.issuer).map(|known| Arc::clone(&known.keyring));
                let keyring = keyring(&issuer, kept, clock, observer);
                let fetcher = fetcher(&issuer, &mut fetchers)?;
                place.insert(Issuer::new(issuer, teams, keyring, fetcher)?);
            }
        }
    }
    Ok(issuers)
}

/// Keys of an issuer: the earlier ones if its source is the same, else new ones. A file is read at
/// once. If that fails, it was logged and counted; only this issuer's tokens cannot be judged until
/// it can be read.
fn keyring(
    settings: &IssuerSettings,
    kept: Option<Arc<IssuerKeys>>,
    clock: &Clock,
    observer: &dyn Observer,
) -> Arc<IssuerKeys> {
    let kept = kept.filter(|keyring| keyring.source == settings.keys);
    let keyring = kept.unwrap_or_else(|| {
        Arc::new(IssuerKeys::new(Arc::clone(&settings.issuer), settings.keys.clone()))
    });
    let _ = keyring.read_file_now(clock, observer);
    keyring
}
