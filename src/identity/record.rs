//! Gateway key in the store, and changes to it. Holds hashes of its secrets only.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SecretHash;
use crate::team::{KeyId, TeamId, UserId};

/// Most secrets of one key that are kept, newest first, so that a replaced one is refused as
/// expired.
const SECRETS_MAX: usize = 4;

/// A gateway key in the store. Its id never changes, so its limits and history outlast its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The public id.
    pub id: KeyId,
    /// The team that pays. It may no longer be configured.
    pub team: TeamId,
    /// The name for people.
    pub name: String,
    /// The user it belongs to; `None` makes the key a user of its own.
    pub user: Option<UserId>,
    /// Models it is restricted to, as written.
    pub models: Option<Vec<String>>,
    /// Limits of its own, in the form of the configuration file.
    pub limits: Value,
    /// The secrets, newest first; at least one.
    pub secrets: Vec<StoredSecret>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Name of the operator's token that made it.
    pub created_by: String,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A stored secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSecret {
    /// SHA-256 of its 32 characters.
    pub sha256: SecretHash,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it expires because another has replaced it.
    pub ends_at: Option<Timestamp>,
}

impl StoredSecret {
    /// Whether it has expired after being replaced.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at.is_some_and(|ends_at| ends_at <= now)
    }
}

/// What happens to older secrets when a key is rotated again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Older {
    /// Each stays valid until the time set when it was replaced.
    Unchanged,
    /// None stays valid longer than the one replaced now.
    Ended,
}

/// Why a key cannot be rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrotatable {
    /// Revoked.
    Revoked,
    /// Has expired.
    Expired,
    /// Too many of its secrets are still valid: one more would evict one.
    TooMany,
}

impl KeyRecord {
    /// The same key with a new secret. The newest one so far stays valid for the overlap. Older
    /// ones keep their time, unless they are to end with it.
    ///
    /// # Errors
    /// Why it cannot be rotated.
    pub fn rotated(
        &self,
        sha256: SecretHash,
        now: Timestamp,
        overlap: SignedDuration,
        older: Older,
    ) -> Result<Self, Unrotatable> {
        if self.revoked_at.is_some() {
            return Err(Unrotatable::Revoked);
        }
        if self.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Unrotatable::Expired);
        }
        let end = now.checked_add(overlap).unwrap_or(Timestamp::MAX);
        let ending = |secret: &StoredSecret| {
            let ends_at = match (secret.ends_at, older) {
                (None, _) => end,
                (Some(promised), Older::Unchanged) => promised,
                (Some(promised), Older::Ended) => promised.min(end),
            };
            StoredSecret { ends_at: Some(ends_at), ..secret.clone() }
        };
        let newest = StoredSecret { sha256, made_at: now, ends_at: None };
        let mut secrets: Vec<StoredSecret> =
            std::iter::once(newest).chain(self.secrets.iter().map(ending)).collect();
        while secrets.len() > SECRETS_MAX {
            let oldest_over = secrets
                .iter()
                .rposition(|secret| secret.is_over(now))
                .ok_or(Unrotatable::TooMany)?;
            secrets.remove(oldest_over);
        }
        Ok(Self { secrets, ..self.clone() })
    }

    /// The same key, revoked. A key that is revoked already keeps its time.
    #[must_use]
    pub fn revoked(&self, now: Timestamp) -> Self {
        Self { revoked_at: self.revoked_at.or(Some(now)), ..self.clone() }
    }

    /// Parses what [`Self::written`] wrote.
    #[must_use]
    pub fn read(id: KeyId, bytes: &[u8]) -> Option<Self> {
        let Written {
            team,
            name,
            user,
            models,
            limits,
            secrets,
            created_at,
            created_by,
            expires_at,
            revoked_at,
        } = serde_json::from_slice(bytes).ok()?;
        let kept = |WrittenSecret { sha256, made_at, ends_at }| {
            Some(StoredSecret { sha256: SecretHash::parse_hex(&sha256)?, made_at, ends_at })
        };
        let secrets = secrets.into_iter().map(kept).collect::<Option<Vec<_>>>()?;
        let user = match user {
            Some(user) => Some(UserId::parse(&user)?),
            None => None,
        };
        let team = TeamId::parse(&team)?;
        Some(Self {
            id,
            team,
            name,
            user,
            models,
            limits,
            secrets,
            created_at,
            created_by,
            expires_at,
            revoked_at,
        })
    }

    /// The record as stored.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        let written = |secret: &StoredSecret| WrittenSecret {
            sha256: secret.sha256.to_hex(),
            made_at: secret.made_at,
            ends_at: secret.ends_at,
        };
        let record = Written {
            team: self.team.as_str().to_owned(),
            name: self.name.clone(),
            user: self.user.as_ref().map(|user| user.as_str().to_owned()),
            models: self.models.clone(),
            limits: self.limits.clone(),
            secrets: self.secrets.iter().map(written).collect(),
            created_at: self.created_at,
            created_by: self.created_by.clone(),
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
        };
        // Cannot fail: strings, times and JSON always have a JSON form.
        serde_json::to_vec(&record).unwrap_or_default()
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    team: String,
    name: String,
    user: Option<String>,
    models: Option<Vec<String>>,
    limits: Value,
    secrets: Vec<WrittenSecret>,
    created_at: Timestamp,
    created_by: String,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct WrittenSecret {
    sha256: String,
    made_at: Timestamp,
    ends_at: Option<Timestamp>,
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    fn hash(secret: &str) -> SecretHash {
        SecretHash::of(secret)
    }

    fn record() -> KeyRecord {
        KeyRecord {
            id: KeyId::parse("k7Qp2mZr9aBc").expect("an id"),
            team: TeamId::parse("design").expect("a team"),
            name: "ci".to_owned(),
            user: UserId::parse("render farm"),
            models: Some(vec!["flux/*".to_owned()]),
            limits: serde_json::json!({ "requests_per_day": 100 }),
            secrets: vec![StoredSecret { sha256: hash("first"), made_at: at(0), ends_at: None }],
            created_at: at(0),
            created_by: "ops".to_owned(),
            expires_at: Some(at(1_000_000)),
            revoked_at: None,
        }
    }

    fn hour() -> SignedDuration {
        SignedDuration::from_hours(1)
    }

    #[test]
    fn a_record_reads_back_as_written_and_shows_no_hash() {
        let record = record().revoked(at(5)).clone();
        assert_eq!(KeyRecord::read(record.id.clone(), &record.written()), Some(record.clone()));
        assert!(!format!("{record:?}").contains(&hash("first").to_hex()));
        for broken in [&b""[..], b"{}", b"{\"team\":\"design\"}"] {
            assert_eq!(KeyRecord::read(record.id.clone(), broken), None);
        }
    }

    fn rotated(
        record: &KeyRecord,
        secret: &str,
        second: i64,
        overlap: SignedDuration,
    ) -> Result<KeyRecord, Unrotatable> {
        record.rotated(hash(secret), at(second), overlap, Older::Unchanged)
    }

    fn ends(record: &KeyRecord) -> Vec<Option<Timestamp>> {
        record.secrets.iter().map(|secret| secret.ends_at).collect()
    }

    #[test]
    fn a_rotation_adds_a_secret_and_keeps_earlier_promises() {
        let once = rotated(&record(), "second", 10, hour()).expect("rotated");
        assert_eq!(ends(&once), [None, Some(at(3610))]);
        let again = rotated(&once, "third", 20, SignedDuration::from_secs(60)).expect("rotated");
        assert_eq!(
            ends(&again),
            [None, Some(at(80)), Some(at(3610))],
            "the first was promised until then"
        );
        assert_eq!(
            (&again.id, &again.limits, again.created_at),
            (&record().id, &record().limits, at(0))
        );
        let now = rotated(&again, "fourth", 30, SignedDuration::ZERO).expect("rotated");
        assert_eq!(ends(&now), [None, Some(at(30)), Some(at(80)), Some(at(3610))]);
    }

    #[test]
    fn older_secrets_can_end_early_and_never_end_late() {
        let once = rotated(&record(), "second", 10, SignedDuration::from_secs(5)).expect("rotated");
        let again = rotated(&once, "third", 11, hour()).expect("rotated");
        let ended = |overlap| {
            again.rotated(hash("fourth"), at(12), overlap, Older::Ended).expect("rotated")
        };
        assert_eq!(
            ends(&ended(SignedDuration::ZERO)),
            [None, Some(at(12)), Some(at(12)), Some(at(12))]
        );
        assert_eq!(ends(&ended(hour())), [None, Some(at(3612)), Some(at(3611)), Some(at(15))]);
    }

    #[test]
    fn a_secret_that_is_good_is_never_pushed_out() {
        let mut full = record();
        for (second, secret) in [(1, "b"), (2, "c"), (3, "d")] {
            full = rotated(&full, secret, second, hour()).expect("rotated");
        }
        assert_eq!(rotated(&full, "e", 4, hour()), Err(Unrotatable::TooMany));
        assert_eq!(
            rotated(&full, "e", 4, SignedDuration::ZERO).map(|record| record.secrets.len()),
            Ok(SECRETS_MAX)
        );
        let later = rotated(&full, "e", 3601, hour()).expect("the first has ended");
        assert_eq!(later.secrets.len(), SECRETS_MAX);
        assert!(later.secrets.iter().all(|secret| secret.sha256 != hash("first")));
        let forced = full
            .rotated(hash("e"), at(4), SignedDuration::ZERO, Older::Ended)
            .expect("all others end");
        assert_eq!(forced.secrets.iter().filter(|secret| !secret.is_over(at(4))).count(), 1);
    }

    #[test]
    fn what_is_over_is_not_rotated() {
        assert_eq!(rotated(&record().revoked(at(1)), "b", 2, hour()), Err(Unrotatable::Revoked));
        assert_eq!(rotated(&record(), "b", 1_000_000, hour()), Err(Unrotatable::Expired));
        assert_eq!(record().revoked(at(1)).revoked(at(2)).revoked_at, Some(at(1)));
    }
}
