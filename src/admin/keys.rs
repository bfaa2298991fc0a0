//! Gateway keys: those of the store, which are made, rotated and revoked here, and the
//! configuration's, which are only listed.

use std::collections::HashMap;
use std::sync::Arc;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::{self, Call, Changed};
use super::key_view::KeyView;
use super::teams::unfit;
use super::token::Token;
use crate::clock::Clock;
use crate::http::Answer;
use crate::identity::key_registry::key_entry;
use crate::identity::record::{KeyRecord, Older, StoredSecret, Unrotatable};
use crate::identity::{GatewayKey, RegistrySync, Store};
use crate::live::Live;
use crate::printable;
use crate::refusal::Refusal;
use crate::team::{KeyId, ModelRules, Team, TeamId, UserId};

/// Default overlap after a rotation, in seconds.
const OVERLAP: u64 = 24 * 3600;
/// The longest overlap, in seconds.
const OVERLAP_MAX: u64 = 90 * 24 * 3600;
/// How often a change is retried when others change the same key.
const TRIES: usize = 8;
/// Most keys in the store: every replica holds all of them in memory.
const KEYS_MAX: usize = 20_000;

/// State of the pages.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) registry_sync: Arc<RegistrySync>,
    pub(super) store: Arc<dyn Store>,
    pub(super) teams: Live<HashMap<TeamId, Arc<Team>>>,
    pub(super) clock: Clock,
}

/// A new key, as requested.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    team: String,
    name: String,
    user: Option<String>,
    models: Option<Vec<String>>,
    limits: Option<Value>,
    expires_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    overlap_seconds: Option<u64>,
    /// Whether earlier secrets that are still valid end together with the newest.
    end_older: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl Keys {
    pub(super) async fn list(&self, call: &Call) -> Result<Answer, Refusal> {
        let team = call.query("team");
        let used = self.last_used().await?;
        let now = self.clock.now();
        let (registry, authenticator) =
            (self.registry_sync.registry(), self.registry_sync.authenticator());
        let stored = registry.keys().map(|key| self.view(&key.record, now));
        let hidden = |view: &KeyView| {
            authenticator.configured_keys().iter().any(|key| key.id.as_str() == view.id)
        };
        let stored = stored.filter(|view| !hidden(view));
        let configured =
            authenticator.configured_keys().iter().map(|key| KeyView::of_configuration(key, now));
        let mut keys: Vec<KeyView> = stored.chain(configured).collect();
        keys.retain(|key| team.is_none_or(|team| team == key.team));
        keys.sort_by(|one, other| {
            (&one.team, &one.name, &one.id).cmp(&(&other.team, &other.name, &other.id))
        });
        for key in &mut keys {
            key.last_used_at = used.get(key.id.as_str()).copied();
        }
        call::json(StatusCode::OK, &json!({ "keys": keys }))
    }

    pub(super) async fn show(&self, call: &Call) -> Result<Answer, Refusal> {
        let (id, now) = (call.key()?, self.clock.now());
        let authenticator = self.registry_sync.authenticator();
        let configured = authenticator.configured_keys().iter().find(|key| key.id == id);
        let mut view = match configured {
            Some(key) => KeyView::of_configuration(key, now),
            None => self.view(&self.record(&id).await?.1, now),
        };
        view.last_used_at = self.last_used().await?.get(id.as_str()).copied();
        call::json(StatusCode::OK, &view)
    }

    /// Makes a key. Its text is only in this answer.
    pub(super) async fn create(&self, call: &Call, token: &Token) -> Result<Changed, Refusal> {
        let new: NewKey = call.body()?;
        let made = GatewayKey::generate().map_err(|_| Refusal::Internal)?;
        let record = self.checked(new, &made, token)?;
        if self.registry_sync.registry().keys().len() >= KEYS_MAX {
            return Err(Refusal::KeyConflict("There are as many keys as every replica can hold"));
        }
        let stored = self.store.replace(&key_entry(&made.id), None, &record.written()).await;
        let view = self.view(&record, self.clock.now());
        let answer = match stored {
            Ok(true) => {
                self.know().await;
                call::json(
                    StatusCode::CREATED,
                    &json!({ "secret": made.text.expose(), "key": view }),
                )
            }
            // Ids have 71 random bits, so this never happens.
            Ok(false) => return Err(Refusal::Internal),
            Err(_) => Err(Refusal::LedgerUnavailable),
        };
        Ok(Changed {
            subject: format!("key {}", made.id),
            before: Value::Null,
            after: view.shown(),
            answer,
        })
    }

    /// Gives a key a new secret. The current one stays valid for the overlap, and earlier ones
    /// until their own end.
    pub(super) async fn rotate(&self, call: &Call) -> Result<Changed, Refusal> {
        let Rotation { overlap_seconds, end_older } = call.body()?;
        let overlap = overlap_seconds.unwrap_or(OVERLAP);
        if overlap > OVERLAP_MAX {
            let problem =
                format!("overlap_seconds must be from 0 to {OVERLAP_MAX}, which are 90 days");
            return Err(Refusal::InvalidBody(vec![problem]));
        }
        let overlap = SignedDuration::from_secs(i64::try_from(overlap).unwrap_or(i64::MAX));
        let id = call.key()?;
        let made = GatewayKey::for_id(id.clone()).map_err(|_| Refusal::Internal)?;
        let now = self.clock.now();
        let older = if end_older.unwrap_or_default() { Older::Ended } else { Older::Unchanged };
        let rotated =
            |record: &KeyRecord| record.rotated(made.hash, now, overlap, older).map_err(refuse);
        self.change(&id, rotated, |view| json!({ "secret": made.text.expose(), "key": view })).await
    }

    /// Revokes a key. Revoking it twice changes nothing.
    pub(super) async fn revoke(&self, call: &Call) -> Result<Changed, Refusal> {
        call.body::<Nothing>()?;
        let now = self.clock.now();
        self.change(&call.key()?, |record| Ok(record.revoked(now)), |view| json!(view)).await
    }

    /// Changes a key. If others change it at the same time, it retries, so that no change is lost.
    async fn change(
        &self,
        id: &KeyId,
        by: impl Fn(&KeyRecord) -> Result<KeyRecord, Refusal>,
        shown: impl Fn(&KeyView) -> Value,
    ) -> Result<Changed, Refusal> {
        if self.registry_sync.authenticator().configured_keys().iter().any(|key| key.id == *id) {
            return Err(Refusal::KeyConflict(
                "The key is kept in the configuration file: it is changed there",
            ));
        }
        for _ in 0..TRIES {
            let (bytes, before) = self.record(id).await?;
            let after = by(&before)?;
            let answer =
                match self.store.replace(&key_entry(id), Some(&bytes), &after.written()).await {
                    Ok(true) => {
                        self.know().await;
                        call::json(StatusCode::OK, &shown(&self.view(&after, self.clock.now())))
                    }
                    Ok(false) => continue,
                    Err(_) => Err(Refusal::LedgerUnavailable),
                };
            let [before, after] =
                [before, after].map(|record| self.view(&record, self.clock.now()).shown());
            return Ok(Changed { subject: format!("key {id}"), before, after, answer });
        }
        Err(Refusal::KeyConflict("The key is being changed by others; try again"))
    }

    /// The stored record of a key.
    async fn record(&self, id: &KeyId) -> Result<(Vec<u8>, KeyRecord), Refusal> {
        let entry =
            self.store.entry(&key_entry(id)).await.map_err(|_| Refusal::LedgerUnavailable)?;
        let bytes = entry.ok_or(Refusal::KeyNotFound)?;
        let record = KeyRecord::read(id.clone(), &bytes).ok_or(Refusal::Internal)?;
        Ok((bytes, record))
    }

    /// Reads the registry again, so that this replica shows the change at once. Others notice by
    /// polling, and so does this one if the store does not answer.
    async fn know(&self) {
        if let Err(outage) = self.registry_sync.refresh(&*self.store).await {
            tracing::debug!(%outage, "what was changed is not in force here yet");
        }
    }

    async fn last_used(&self) -> Result<HashMap<String, Timestamp>, Refusal> {
        let noted = self.store.last_used().await.map_err(|_| Refusal::LedgerUnavailable)?;
        let here = self.registry_sync.authenticator().uses();
        let mut used = HashMap::new();
        for (id, at) in noted.into_iter().chain(here) {
            let Ok(at) = Timestamp::from_second(at) else { continue };
            let latest = used.entry(id.as_str().to_owned()).or_insert(at);
            *latest = at.max(*latest);
        }
        Ok(used)
    }

    /// The new key's record, or every problem in the request.
    fn checked(&self, new: NewKey, made: &GatewayKey, token: &Token) -> Result<KeyRecord, Refusal> {
        let mut problems = Vec::new();
        let now = self.clock.now();
        let team = TeamId::parse(&new.team).filter(|team| self.teams.read().contains_key(team));
        if team.is_none() {
            problems.push(format!("team: there is no team {:?} in the configuration", new.team));
        }
        if new.name.is_empty() || new.name.len() > 128 || new.name.chars().any(char::is_control) {
            problems.push("name: must be 1 to 128 bytes without control characters".to_owned());
        }
        let user = new.user.as_deref().map(UserId::parse);
        if user == Some(None) {
            problems.push(unfit());
        }
        for (member, name) in [("name", Some(&new.name)), ("user", new.user.as_ref())] {
            if name.is_some_and(|name| !printable::is_trimmed(name)) {
                problems.push(format!("{member}: must not begin or end with white space"));
            }
        }
        let models = new.models.iter().flatten().map(String::as_str);
        if let Err(rule) = ModelRules::parse(models) {
            problems.push(format!(
                "models: {rule:?} is no model id, prefix/* or *, with ! in front to deny"
            ));
        }
        let limits = new.limits.unwrap_or_else(|| Value::Object(Map::new()));
        if let Err(wrong) = self.registry_sync.read_limits()(&limits.to_string()) {
            problems.extend(wrong.into_iter().map(|problem| format!("limits.{problem}")));
        }
        let expires_at = new.expires_at.as_deref().map(str::parse::<Timestamp>);
        if !expires_at.as_ref().is_none_or(|at| at.as_ref().is_ok_and(|at| *at > now)) {
            problems.push(
                "expires_at: must be a moment to come such as 2027-01-31T00:00:00Z".to_owned(),
            );
        }
        match team {
            Some(team) if problems.is_empty() => Ok(KeyRecord {
                id: made.id.clone(),
                team,
                name: new.name,
                user: user.flatten(),
                models: new.models,
                limits,
                secrets: vec![StoredSecret { sha256: made.hash, made_at: now, ends_at: None }],
                created_at: now,
                created_by: token.name.clone(),
                expires_at: expires_at.and_then(Result::ok),
                revoked_at: None,
            }),
            Some(_) | None => Err(Refusal::InvalidBody(problems)),
        }
    }

    fn view(&self, record: &KeyRecord, now: Timestamp) -> KeyView {
        KeyView::of_store(record, self.teams.read().contains_key(&record.team), now)
    }
}

const fn refuse(why: Unrotatable) -> Refusal {
    Refusal::KeyConflict(match why {
        Unrotatable::Revoked => "The key is revoked",
        Unrotatable::Expired => "The key has expired",
        Unrotatable::TooMany => {
            "Four secrets of the key are good already, each until it was promised; rotate when \
             one of them has ended, or with overlap_seconds 0, or end them with end_older"
        }
    })
}
