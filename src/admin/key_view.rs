//! A gateway key as operators see it: its record, its state, and until when its secrets are valid.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::identity::KeyRecord;
use crate::identity::record::StoredSecret;
use crate::identity::settings::KeySettings;

/// A displayed key. It has no hash: harmless, but of no use.
#[derive(Clone, Debug, Serialize)]
pub(super) struct KeyView {
    pub(super) id: String,
    pub(super) team: String,
    pub(super) name: String,
    user: Option<String>,
    /// `store`, or `configuration` for a key that is changed there.
    source: &'static str,
    /// `active`, `expired`, `revoked`, or `team_unknown` when its team is not configured.
    state: &'static str,
    models: Option<Vec<String>>,
    limits: Value,
    created_at: Option<Timestamp>,
    created_by: Option<String>,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    pub(super) last_used_at: Option<Timestamp>,
    secrets: Vec<SecretView>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct SecretView {
    made_at: Timestamp,
    ends_at: Option<Timestamp>,
    /// `current`, `overlap` while it is still valid after being replaced, or `ended`.
    state: &'static str,
}

impl SecretView {
    fn new(secret: &StoredSecret, now: Timestamp) -> Self {
        let state = match secret.ends_at {
            None => "current",
            Some(_) if secret.is_over(now) => "ended",
            Some(_) => "overlap",
        };
        Self { made_at: secret.made_at, ends_at: secret.ends_at, state }
    }
}

impl KeyView {
    /// A key of the store, whose team may have left the configuration.
    pub(super) fn of_store(record: &KeyRecord, team_is_known: bool, now: Timestamp) -> Self {
        let is_over = record.expires_at.is_some_and(|expires_at| expires_at <= now);
        let state = match (record.revoked_at, is_over) {
            (Some(_), _) => "revoked",
            (None, true) => "expired",
            (None, false) if !team_is_known => "team_unknown",
            (None, false) => "active",
        };
        Self {
            id: record.id.as_str().to_owned(),
            team: record.team.as_str().to_owned(),
            name: record.name.clone(),
            user: record.user.as_ref().map(|user| user.as_str().to_owned()),
            source: "store",
            state,
            models: record.models.clone(),
            limits: record.limits.clone(),
            created_at: Some(record.created_at),
            created_by: Some(record.created_by.clone()),
            expires_at: record.expires_at,
            revoked_at: record.revoked_at,
            last_used_at: None,
            secrets: record.secrets.iter().map(|secret| SecretView::new(secret, now)).collect(),
        }
    }

    /// A key of the configuration.
    pub(super) fn of_configuration(key: &KeySettings, now: Timestamp) -> Self {
        let is_over = key.expires_at.is_some_and(|expires_at| expires_at <= now);
        Self {
            id: key.id.as_str().to_owned(),
            team: key.team.as_str().to_owned(),
            name: key.name.clone(),
            user: key.user.as_ref().map(|user| user.as_str().to_owned()),
            source: "configuration",
            state: if is_over { "expired" } else { "active" },
            models: None,
            limits: Value::Null,
            created_at: None,
            created_by: None,
            expires_at: key.expires_at,
            revoked_at: None,
            last_used_at: None,
            secrets: Vec::new(),
        }
    }

    /// The key in the audit line.
    pub(super) fn shown(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}
