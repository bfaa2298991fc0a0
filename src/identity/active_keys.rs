//! Gateway keys in force and suspensions, from the configuration and the registry together.
//! Replaced as a whole when either changes, so reading takes no lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use foldhash::quality::RandomState;
use jiff::Timestamp;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;

use super::authenticator_error::{AuthenticatorError, user_of};
use super::failed_check::FailedCheck;
use super::key::{SecretHash, ShownKey};
use super::key_registry::{KeyRegistry, StoredKey};
use super::principal::{Identified, Principal};
use super::settings::KeySettings;
use crate::team::{Credential, KeyId, Team, TeamId};

/// Least time between two notes of a key's use, in seconds.
const USE_STANDS: i64 = 60;

/// Least size of the cache of verified keys.
const SHOWN_MIN: usize = 64;
const SHOWN_MAX: usize = 10_000;

/// Keys and suspensions in force.
pub(super) struct ActiveKeys {
    keys: HashMap<KeyId, Arc<KnownKey>>,
    /// Keys that were presented and verified, so that none is hashed twice. Looked up by every
    /// byte, like tokens. Dropped together with what is in force.
    shown: Cache<Box<str>, Shown, UnitWeighter, RandomState>,
    registry: Arc<KeyRegistry>,
}

/// A gateway key with its principal.
pub(super) struct KnownKey {
    secrets: Vec<KnownSecret>,
    principal: Arc<Principal>,
    /// `None` when the team is not configured any more.
    team: Option<Arc<Team>>,
    expires_at: Option<Timestamp>,
    is_revoked: bool,
    /// When it was last used, in seconds since 1970; 0 for never. Shared with the same key in the
    /// next authenticator.
    used: Arc<AtomicI64>,
}

/// A verified key: which one it is, and which of its secrets was used.
#[derive(Clone)]
struct Shown {
    key: Arc<KnownKey>,
    secret: usize,
}

struct KnownSecret {
    hash: SecretHash,
    ends_at: Option<Timestamp>,
}

impl KnownKey {
    /// A key of the configuration and its team.
    pub(super) fn of_configuration(
        key: KeySettings,
        team: Arc<Team>,
    ) -> Result<Self, AuthenticatorError> {
        let principal = Principal {
            team: team.id.clone(),
            user: user_of(&key.id, key.user)?,
            credential: Credential::Key(key.id),
            key_models: key.models,
            key_limits: key.limits,
        };
        Ok(Self {
            secrets: vec![KnownSecret { hash: key.sha256, ends_at: None }],
            principal: Arc::new(principal),
            team: Some(team),
            expires_at: key.expires_at,
            is_revoked: false,
            used: Arc::default(),
        })
    }

    fn of_store(
        key: &StoredKey,
        teams: &HashMap<TeamId, Arc<Team>>,
    ) -> Result<Self, AuthenticatorError> {
        let StoredKey { record, models, limits, .. } = key;
        let principal = Principal {
            team: record.team.clone(),
            user: user_of(&record.id, record.user.clone())?,
            credential: Credential::Key(record.id.clone()),
            key_models: models.clone(),
            key_limits: limits.clone(),
        };
        let secrets = record.secrets.iter();
        Ok(Self {
            secrets: secrets
                .map(|secret| KnownSecret { hash: secret.sha256, ends_at: secret.ends_at })
                .collect(),
            principal: Arc::new(principal),
            team: teams.get(&record.team).cloned(),
            expires_at: record.expires_at,
            is_revoked: record.revoked_at.is_some(),
            used: Arc::default(),
        })
    }

    /// Continues the use counter of the key that had this id before.
    pub(super) fn counting_on(mut self, before: Option<&ActiveKeys>) -> Self {
        let Credential::Key(id) = &self.principal.credential else { return self };
        if let Some(before) = before.and_then(|before| before.keys.get(id)) {
            self.used = Arc::clone(&before.used);
        }
        self
    }

    /// Finds which of the key's secrets was used. A wrong one is always [`FailedCheck::Secret`]:
    /// only a caller with a right one learns more about the key.
    fn secret(&self, hash: SecretHash) -> Result<usize, FailedCheck> {
        self.secrets.iter().position(|secret| secret.hash == hash).ok_or(FailedCheck::Secret)
    }

    /// Whether this secret of the key is still good, and for whom.
    fn judge(&self, secret: usize, now: Timestamp) -> Result<Identified, FailedCheck> {
        let is_over = |end: Option<Timestamp>| end.is_some_and(|end| end <= now);
        let secret = self.secrets.get(secret).ok_or(FailedCheck::Secret)?;
        if self.is_revoked {
            return Err(FailedCheck::Revoked);
        }
        if is_over(self.expires_at) || is_over(secret.ends_at) {
            return Err(FailedCheck::Expired);
        }
        let team = self.team.as_ref().ok_or(FailedCheck::TeamUnknown)?;
        Ok((Arc::clone(&self.principal), Arc::clone(team)))
    }

    /// One relaxed load for most uses, one store a minute.
    fn note_use(&self, now: Timestamp) {
        let now = now.as_second();
        if now - self.used.load(Ordering::Relaxed) >= USE_STANDS {
            self.used.store(now, Ordering::Relaxed);
        }
    }
}

impl ActiveKeys {
    /// Joins both kinds of keys. Where two have one id, the configuration's wins and a warning is
    /// logged.
    pub(super) fn new(
        configured: &HashMap<KeyId, Arc<KnownKey>>,
        registry: &Arc<KeyRegistry>,
        teams: &HashMap<TeamId, Arc<Team>>,
        before: Option<&Self>,
    ) -> Self {
        let mut keys = configured.clone();
        for key in registry.keys() {
            let id = &key.record.id;
            if configured.contains_key(id) {
                tracing::warn!(
                    %id,
                    "a key id is in the configuration and in the store: the \
                     configuration's key counts"
                );
            } else if let Ok(known) = KnownKey::of_store(key, teams) {
                keys.insert(id.clone(), Arc::new(known.counting_on(before)));
            }
        }
        // A key that is being rotated has two secrets.
        let most = (keys.len() * 2).clamp(SHOWN_MIN, SHOWN_MAX);
        let shown = Cache::with(
            most,
            most as u64,
            UnitWeighter,
            RandomState::default(),
            Default::default(),
        );
        Self { keys, shown, registry: Arc::clone(registry) }
    }

    /// Judges a gateway key. Expiry and suspension are checked each time, the secret only the first
    /// time.
    pub(super) fn judge_key(&self, text: &str, now: Timestamp) -> Result<Identified, FailedCheck> {
        let shown = match self.shown.get(text) {
            Some(shown) => shown,
            None => self.look_at(text)?,
        };
        let identified = shown.key.judge(shown.secret, now)?;
        shown.key.note_use(now);
        Ok(identified)
    }

    /// Verifies a key that is not in the cache. Its checksum catches typing errors without a
    /// lookup.
    ///
    /// The secret is hashed before the id is looked up, so the time does not show whether an id
    /// exists. Hashes are compared in constant time ([`SecretHash`]'s `==` is `subtle`'s), so it
    /// does not show either how much of a secret is right. Only a right secret is cached.
    fn look_at(&self, text: &str) -> Result<Shown, FailedCheck> {
        let shown = ShownKey::parse(text).ok_or(FailedCheck::Form)?;
        let hash = SecretHash::of(shown.secret);
        let Some(known) = self.keys.get(shown.id) else {
            // The key may be in the registry, which was not read yet.
            return Err(if self.registry.is_read() {
                FailedCheck::KeyUnknown
            } else {
                FailedCheck::KeysUnavailable
            });
        };
        let shown = Shown { key: Arc::clone(known), secret: known.secret(hash)? };
        self.shown.insert(text.into(), shown.clone());
        Ok(shown)
    }

    /// Whether an operator has suspended the caller in the registry.
    pub(super) fn suspends(&self, principal: &Principal) -> bool {
        self.registry.suspends(principal)
    }

    /// When each key was last used, in seconds since 1970, as known to this process.
    pub(super) fn uses(&self) -> Vec<(KeyId, i64)> {
        let used = self.keys.iter().map(|(id, key)| (id.clone(), key.used.load(Ordering::Relaxed)));
        used.filter(|(_, at)| *at > 0).collect()
    }

    /// When the first key of each team expires, of those that are good now.
    pub(super) fn first_expiries(&self, now: Timestamp) -> HashMap<TeamId, Timestamp> {
        let mut first = HashMap::new();
        for key in self.keys.values().filter(|key| !key.is_revoked) {
            let Some(at) = key.expires_at.filter(|at| *at > now) else { continue };
            let earliest = first.entry(key.principal.team.clone()).or_insert(at);
            *earliest = at.min(*earliest);
        }
        first
    }

    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }
}
