//! Which gateway keys are in force, and who is suspended: made of a configuration's keys and of the register, and
//! replaced whole when either changes. Reading it takes no lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use foldhash::quality::RandomState;
use jiff::Timestamp;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;

use super::directory_error::{DirectoryError, user_of};
use super::failed_check::FailedCheck;
use super::key::{SecretHash, ShownKey};
use super::key_registry::{KeyRegistry, StoredKey};
use super::principal::{Identified, Principal};
use super::settings::KeySettings;
use crate::team::{Credential, KeyId, Team, TeamId};

/// How long a use stands for those after it, in seconds: a busy key is written down once a minute.
const USE_STANDS: i64 = 60;

/// How many keys are remembered as they were shown.
const SHOWN_MIN: usize = 64;
const SHOWN_MAX: usize = 10_000;

/// What holds at present.
pub(super) struct InForce {
    keys: HashMap<KeyId, Arc<KnownKey>>,
    /// Keys as they were shown and found to be good, so that none is hashed twice: found by every byte, as tokens are.
    /// They live and die with what is in force.
    shown: Cache<Box<str>, Shown, UnitWeighter, RandomState>,
    register: Arc<KeyRegistry>,
}

/// A gateway key, and who it speaks for.
pub(super) struct KnownKey {
    secrets: Vec<KnownSecret>,
    principal: Arc<Principal>,
    /// `None`: the team is not configured any more.
    team: Option<Arc<Team>>,
    expires_at: Option<Timestamp>,
    is_revoked: bool,
    /// When it was last used, in seconds since 1970; 0 is never. Outlives this key's place in a directory.
    used: Arc<AtomicI64>,
}

/// Of a text that was shown, which key it is, and which of its secrets.
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
    /// A key of the configuration, whose team is there.
    pub(super) fn of_configuration(key: KeySettings, team: Arc<Team>) -> Result<Self, DirectoryError> {
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

    fn of_store(key: &StoredKey, teams: &HashMap<TeamId, Arc<Team>>) -> Result<Self, DirectoryError> {
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
            secrets: secrets.map(|secret| KnownSecret { hash: secret.sha256, ends_at: secret.ends_at }).collect(),
            principal: Arc::new(principal),
            team: teams.get(&record.team).cloned(),
            expires_at: record.expires_at,
            is_revoked: record.revoked_at.is_some(),
            used: Arc::default(),
        })
    }

    /// Goes on counting where a key of this id was counted before.
    pub(super) fn counting_on(mut self, before: Option<&InForce>) -> Self {
        let Credential::Key(id) = &self.principal.credential else { return self };
        if let Some(before) = before.and_then(|before| before.keys.get(id)) {
            self.used = Arc::clone(&before.used);
        }
        self
    }

    /// Which of the key's secrets it is. One that is not the key's is [`FailedCheck::Secret`], whatever else is known
    /// of the key: only who has a secret learns more.
    fn secret(&self, hash: SecretHash) -> Result<usize, FailedCheck> {
        self.secrets.iter().position(|secret| secret.hash == hash).ok_or(FailedCheck::Secret)
    }

    /// What this secret of the key lets its bearer be.
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

    /// One relaxed reading for most uses, one writing a minute.
    fn note_use(&self, now: Timestamp) {
        let now = now.as_second();
        if now - self.used.load(Ordering::Relaxed) >= USE_STANDS {
            self.used.store(now, Ordering::Relaxed);
        }
    }
}

impl InForce {
    /// Puts both kinds of keys together. Of two keys with one id the configuration's counts, and that is told.
    pub(super) fn new(
        configured: &HashMap<KeyId, Arc<KnownKey>>,
        register: &Arc<KeyRegistry>,
        teams: &HashMap<TeamId, Arc<Team>>,
        before: Option<&Self>,
    ) -> Self {
        let mut keys = configured.clone();
        for key in register.keys() {
            let id = &key.record.id;
            if configured.contains_key(id) {
                tracing::warn!(%id, "a key id is in the configuration and in the store: the configuration's key counts");
            } else if let Ok(known) = KnownKey::of_store(key, teams) {
                keys.insert(id.clone(), Arc::new(known.counting_on(before)));
            }
        }
        // Two secrets each, while a key is rotated.
        let most = (keys.len() * 2).clamp(SHOWN_MIN, SHOWN_MAX);
        let shown = Cache::with(most, most as u64, UnitWeighter, RandomState::default(), Default::default());
        Self { keys, shown, register: Arc::clone(register) }
    }

    /// Judges a gateway key. What time changes is asked each time; whether the secret is right, once.
    pub(super) fn judge_key(&self, text: &str, now: Timestamp) -> Result<Identified, FailedCheck> {
        let shown = match self.shown.get(text) {
            Some(shown) => shown,
            None => self.look_at(text)?,
        };
        let identified = shown.key.judge(shown.secret, now)?;
        shown.key.note_use(now);
        Ok(identified)
    }

    /// Looks at a key that was not shown before. A typo is told by its checksum, without a lookup.
    ///
    /// What was shown is hashed before its id is looked up, so whether an id exists does not show in the time; and
    /// hashes are compared in constant time ([`SecretHash`]'s `==` is `subtle`'s), so neither does how much of a secret
    /// is right. Only a right one is remembered.
    fn look_at(&self, text: &str) -> Result<Shown, FailedCheck> {
        let shown = ShownKey::parse(text).ok_or(FailedCheck::Form)?;
        let hash = SecretHash::of(shown.secret);
        let Some(known) = self.keys.get(shown.id) else {
            // It may be in the register, which could not be read yet.
            return Err(if self.register.is_read() { FailedCheck::KeyUnknown } else { FailedCheck::KeysUnavailable });
        };
        let shown = Shown { key: Arc::clone(known), secret: known.secret(hash)? };
        self.shown.insert(text.into(), shown.clone());
        Ok(shown)
    }

    /// Whether an operator has suspended somebody, on top of what the configuration says.
    pub(super) fn suspends(&self, principal: &Principal) -> bool {
        self.register.suspends(principal)
    }

    /// When each key was used last, in seconds since 1970, as far as this process knows.
    pub(super) fn uses(&self) -> Vec<(KeyId, i64)> {
        let used = self.keys.iter().map(|(id, key)| (id.clone(), key.used.load(Ordering::Relaxed)));
        used.filter(|(_, at)| *at > 0).collect()
    }

    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }
}
