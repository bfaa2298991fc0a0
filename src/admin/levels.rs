//! `GET /admin/v1/teams/{team}/limits`: status of the limits of a team, its users and its gateway
//! keys. Answers why a user was refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use super::accounts::away;
use super::call::{self, Call};
use super::teams::Teams;
use crate::account::usage::Totals;
use crate::clock::in_millis;
use crate::http::Answer;
use crate::identity::RegistrySync;
use crate::identity::key_registry::StoredKey;
use crate::ledger::{Level, LimitStatus, LimitView, Scope, SnapshotQuery, Sums};
use crate::refusal::Refusal;
use crate::team::{KeyId, Limits, Team, UserId};

/// Most users and keys that are shown: those that spent most this month come first.
const SHOWN_MAX: usize = 500;
/// Levels that are read at once.
const AT_ONCE: usize = 50;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LevelsView {
    team: String,
    time_zone: String,
    #[serde(serialize_with = "in_millis")]
    at: Timestamp,
    levels: Vec<LevelView>,
    /// Users and keys left out because there are too many.
    hidden: usize,
}

/// Limits of the team, of a user or of a key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LevelView {
    /// `team`, `user` or `key`.
    level: &'static str,
    /// Name of the team or user, or id of the key.
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_name: Option<String>,
    /// Whether its calls are refused with 403.
    suspended: bool,
    limits: Vec<LimitView>,
    /// Usage of this month; that of a key is its user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    month: Option<Totals>,
}

/// Answers the page.
///
/// # Errors
/// `team_not_found`, `ledger_unavailable`.
pub(super) async fn answer(teams: &Teams, call: &Call) -> Result<Answer, Refusal> {
    let (team, names) = (teams.team(call)?, &*teams.registry_sync);
    let snapshot = teams.snapshot(&team).await.map_err(|outage| away(&outage))?;
    let today = snapshot.at.to_zoned(team.time_zone.clone()).date();
    let month = today.first_of_month()..=today;
    let usage = teams.ledger.usage(&team.id, month).await;
    let mut sums = BTreeMap::<String, Sums>::new();
    let mut all = Sums::default();
    for cell in usage.map_err(|outage| away(&outage))? {
        *sums.entry(cell.user).or_default() += cell.sums;
        all += cell.sums;
    }
    let mut others = others(names, &team, &sums);
    let hidden = others.len().saturating_sub(SHOWN_MAX);
    others.truncate(SHOWN_MAX);
    let mut statuses = snapshot.statuses;
    for some in others.chunks(AT_ONCE) {
        let query = SnapshotQuery {
            team: team.id.clone(),
            levels: some.to_vec(),
            time_zone: team.time_zone.clone(),
            reader: None,
        };
        let read = teams.ledger.snapshot(query).await;
        statuses.extend(read.map_err(|outage| away(&outage))?.statuses);
    }
    let own = Level { scope: Scope::Team, limits: Arc::clone(&team.limits) };
    let month = |scope: &Scope| match scope {
        Scope::Team => Some(all),
        Scope::User(user) | Scope::Account(user) => sums.get(user.as_str()).copied(),
        Scope::Key(_) => None,
    };
    let view = |level: &Level| LevelView {
        level: level.scope.level(),
        name: name(&team, &level.scope),
        key_name: key_name(names, &level.scope),
        suspended: is_suspended(names, &team, &level.scope),
        limits: of_scope(&statuses, &level.scope),
        month: month(&level.scope).map(Totals::from),
    };
    let view = LevelsView {
        team: team.id.to_string(),
        time_zone: team.time_zone.iana_name().unwrap_or("UTC").to_owned(),
        at: snapshot.at,
        levels: std::iter::once(&own).chain(&others).map(view).collect(),
        hidden,
    };
    call::json(StatusCode::OK, &view)
}

/// Levels of the users who called this month or have a key, by spend, and of the keys that have
/// limits of their own.
fn others(names: &RegistrySync, team: &Team, sums: &BTreeMap<String, Sums>) -> Vec<Level> {
    let registry = names.registry();
    let authenticator = names.authenticator();
    let is_own = |key: &&Arc<StoredKey>| key.record.team == team.id && !key.is_revoked();
    let stored: Vec<&Arc<StoredKey>> = registry.keys().filter(is_own).collect();
    let configured = authenticator.configured_keys().iter().filter(|key| key.team == team.id);
    let mut users: BTreeMap<&str, Sums> =
        sums.iter().map(|(user, sums)| (user.as_str(), *sums)).collect();
    let named = stored.iter().filter_map(|key| key.record.user.as_ref());
    for user in named.chain(configured.clone().filter_map(|key| key.user.as_ref())) {
        users.entry(user.as_str()).or_default();
    }
    let mut users: Vec<(&str, Sums)> = users.into_iter().collect();
    users.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.credits));
    let users = users
        .into_iter()
        .filter_map(|(user, _)| UserId::parse(user))
        .map(|user| Level { scope: Scope::User(user), limits: Arc::clone(&team.user_limits) });
    let narrowed = |id: &KeyId, limits: &Arc<Limits>| Level {
        scope: Scope::Key(id.clone()),
        limits: Arc::clone(limits),
    };
    let stored =
        stored.iter().filter_map(|key| Some(narrowed(&key.record.id, key.limits.as_ref()?)));
    let configured = configured.filter_map(|key| Some(narrowed(&key.id, key.limits.as_ref()?)));
    users.chain(stored).chain(configured).collect()
}

fn name(team: &Team, scope: &Scope) -> String {
    match scope {
        Scope::Team => team.id.to_string(),
        Scope::User(user) | Scope::Account(user) => user.as_str().to_owned(),
        Scope::Key(key) => key.to_string(),
    }
}

fn key_name(names: &RegistrySync, scope: &Scope) -> Option<String> {
    match scope {
        Scope::Team => None,
        Scope::User(user) | Scope::Account(user) => names.key_name(user.as_str()),
        Scope::Key(key) => names.key_name(&format!("key:{key}")),
    }
}

fn is_suspended(names: &RegistrySync, team: &Team, scope: &Scope) -> bool {
    let registry = names.registry();
    let by_operator = registry.suspension(&team.id);
    match scope {
        Scope::Team => {
            team.state == crate::team::State::Suspended
                || by_operator.is_some_and(|suspension| suspension.team)
        }
        Scope::User(user) | Scope::Account(user) => {
            team.suspended_users.contains(user)
                || by_operator.is_some_and(|suspension| suspension.users.contains(user.as_str()))
        }
        Scope::Key(_) => false,
    }
}

fn of_scope(statuses: &[LimitStatus], scope: &Scope) -> Vec<LimitView> {
    statuses.iter().filter(|status| status.scope == *scope).map(LimitView::from).collect()
}
