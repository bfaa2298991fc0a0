//! Teams: status of their limits, and suspensions.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::try_join_all;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{self, Call, Changed};
use super::configured::{ConfiguredLimit, configured};
use crate::http::Answer;
use crate::identity::key_registry::{Suspension, team_entry};
use crate::identity::{RegistrySync, Store};
use crate::ledger::{BudgetSnapshot, Ledger, Level, LimitView, Outage, Scope, SnapshotQuery};
use crate::live::Live;
use crate::refusal::Refusal;
use crate::team::{State, Team, TeamId, UserId};

/// How often a change is retried when others change the same team.
const TRIES: usize = 8;
/// Most users of a team that can be suspended at run time; the configuration has room for more.
const USERS_MAX: usize = 10_000;

/// Message for a name that is no valid user name.
pub(super) fn unfit() -> String {
    format!("user: must be 1 to {} bytes without control characters", UserId::BYTES_MAX)
}

/// State of the pages.
#[derive(Clone)]
pub(super) struct Teams {
    pub(super) registry_sync: Arc<RegistrySync>,
    pub(super) store: Arc<dyn Store>,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) teams: Live<HashMap<TeamId, Arc<Team>>>,
}

/// Whom to suspend: the team, or one of its users.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    user: Option<String>,
}

/// Suspensions, and where they come from.
#[derive(Debug, Serialize)]
struct SuspensionView {
    /// Whether the whole team is suspended, by the configuration or an operator.
    suspended: bool,
    by_configuration: bool,
    by_operator: bool,
    users_by_configuration: BTreeSet<String>,
    users_by_operator: BTreeSet<String>,
}

/// A team in the list.
#[derive(Debug, Serialize)]
struct TeamView {
    team: TeamId,
    #[serde(flatten)]
    suspension: SuspensionView,
    weight: u32,
    time_zone: String,
    /// Whether the store has lost writes of the team: nothing is admitted, and the status of its
    /// limits is unknown.
    closed: bool,
    limits: Vec<LimitView>,
    user_limits: Vec<ConfiguredLimit>,
    /// Calls that are reserved and not settled.
    open: Option<u64>,
}

impl Teams {
    pub(super) async fn list(&self) -> Result<Answer, Refusal> {
        let teams = self.teams.read();
        let mut views = try_join_all(teams.values().map(|team| self.view(team))).await?;
        views.sort_by(|one, other| one.team.cmp(&other.team));
        call::json(StatusCode::OK, &json!({ "teams": views }))
    }

    pub(super) async fn show(&self, call: &Call) -> Result<Answer, Refusal> {
        call::json(StatusCode::OK, &self.view(&*self.team(call)?).await?)
    }

    /// Suspends a team or one of its users.
    pub(super) async fn suspend(&self, call: &Call) -> Result<Changed, Refusal> {
        self.change(call, |suspension, user| match user {
            None => suspension.team = true,
            Some(user) => {
                suspension.users.insert(user);
            }
        })
        .await
    }

    /// Resumes it, if [`Self::suspend`] suspended it: the configuration's suspensions stay.
    pub(super) async fn resume(&self, call: &Call) -> Result<Changed, Refusal> {
        self.change(call, |suspension, user| match user {
            None => suspension.team = false,
            Some(user) => {
                suspension.users.remove(&user);
            }
        })
        .await
    }

    async fn change(
        &self,
        call: &Call,
        by: impl Fn(&mut Suspension, Option<String>),
    ) -> Result<Changed, Refusal> {
        let (team, user) = (self.team(call)?, call.body::<Whose>()?.user);
        if let Some(name) = &user {
            let user = UserId::parse(name).ok_or_else(|| Refusal::InvalidBody(vec![unfit()]))?;
            self.may_mean(&team, &user).await?;
        }
        let name = team_entry(&team.id);
        for _ in 0..TRIES {
            let bytes = self.store.entry(&name).await.map_err(|_| Refusal::LedgerUnavailable)?;
            let before = match &bytes {
                Some(bytes) => Suspension::read(bytes).ok_or(Refusal::Internal)?,
                None => Suspension::default(),
            };
            let mut after = before.clone();
            by(&mut after, user.clone());
            if after.users.len() > USERS_MAX {
                let problem =
                    format!("user: at most {USERS_MAX} users of a team can be suspended here");
                return Err(Refusal::InvalidBody(vec![problem]));
            }
            let answer = match self.store.replace(&name, bytes.as_deref(), &after.written()).await {
                Ok(true) => {
                    self.know().await;
                    call::json(
                        StatusCode::OK,
                        &json!({ "team": team.id, "suspension": suspension(&team, &after) }),
                    )
                }
                Ok(false) => continue,
                Err(_) => Err(Refusal::LedgerUnavailable),
            };
            let [before, after] = [&before, &after].map(|now| audited(now, user.as_deref()));
            let subject = match &user {
                Some(user) => format!("user {user} of team {}", team.id),
                None => format!("team {}", team.id),
            };
            return Ok(Changed { subject, before, after, answer });
        }
        Err(Refusal::Overloaded)
    }

    async fn know(&self) {
        if let Err(outage) = self.registry_sync.refresh(&*self.store).await {
            tracing::debug!(%outage, "what was changed is not in force here yet");
        }
    }

    pub(super) fn team(&self, call: &Call) -> Result<Arc<Team>, Refusal> {
        self.teams.read().get(&call.team()?).cloned().ok_or(Refusal::TeamNotFound)
    }

    /// Status of the team's limits.
    pub(super) async fn snapshot(&self, team: &Team) -> Result<BudgetSnapshot, Outage> {
        let level = Level { scope: Scope::Team, limits: Arc::clone(&team.limits) };
        let (levels, time_zone) = (vec![level], team.time_zone.clone());
        self.ledger
            .snapshot(SnapshotQuery { team: team.id.clone(), levels, time_zone, reader: None })
            .await
    }

    async fn view(&self, team: &Team) -> Result<TeamView, Refusal> {
        let snapshot = match self.snapshot(team).await {
            Ok(snapshot) => Some(snapshot),
            Err(Outage::Lost) => None,
            Err(Outage::TimedOut | Outage::Unreachable(_) | Outage::Refused(_)) => {
                return Err(Refusal::LedgerUnavailable);
            }
        };
        let registry = self.registry_sync.registry();
        let by_operator = registry.suspension(&team.id).cloned().unwrap_or_default();
        Ok(TeamView {
            team: team.id.clone(),
            suspension: suspension(team, &by_operator),
            weight: team.weight,
            time_zone: team.zone_name(),
            closed: snapshot.is_none(),
            limits: snapshot
                .iter()
                .flat_map(|snapshot| &snapshot.statuses)
                .map(LimitView::from)
                .collect(),
            user_limits: configured(&team.user_limits),
            open: snapshot.map(|snapshot| snapshot.open),
        })
    }
}

fn suspension(team: &Team, by_operator: &Suspension) -> SuspensionView {
    let by_configuration = team.state == State::Suspended;
    SuspensionView {
        suspended: by_configuration || by_operator.team,
        by_configuration,
        by_operator: by_operator.team,
        users_by_configuration: team
            .suspended_users
            .iter()
            .map(|user| user.as_str().to_owned())
            .collect(),
        users_by_operator: by_operator.users.clone(),
    }
}

/// The suspension in the audit line.
fn audited(suspension: &Suspension, user: Option<&str>) -> Value {
    json!({ "suspended": user.map_or(suspension.team, |user| suspension.users.contains(user)) })
}
