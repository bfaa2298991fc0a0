//! Principal: on whose behalf a request is made, for any kind of credential.

use std::sync::Arc;

use crate::ledger::{Level, Scope};
use crate::team::{Credential, Limits, ModelRules, Team, TeamId, UserId};

/// The caller: a team, a user of it, and the credential that proved it.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The team that pays.
    pub team: TeamId,
    /// The user within the team.
    pub user: UserId,
    /// The credential.
    pub credential: Credential,
    /// Gateway keys only: models the key is restricted to.
    pub key_models: Option<Arc<ModelRules>>,
    /// Gateway keys only: limits of the key itself.
    pub key_limits: Option<Arc<Limits>>,
}

/// A principal with its team as configured now.
pub type Identified = (Arc<Principal>, Arc<Team>);

impl Principal {
    /// Levels whose limits apply: the team, the user, and the gateway key if one was used. `team`
    /// is the principal's team as configured.
    #[must_use]
    pub fn levels(&self, team: &Team) -> Vec<Level> {
        let mut levels = Vec::with_capacity(3);
        levels.push(Level { scope: Scope::Team, limits: Arc::clone(&team.limits) });
        levels.push(Level {
            scope: Scope::User(self.user.clone()),
            limits: Arc::clone(&team.user_limits),
        });
        if let Credential::Key(key) = &self.credential {
            let limits = self.key_limits.clone().unwrap_or_default();
            levels.push(Level { scope: Scope::Key(key.clone()), limits });
        }
        levels
    }
}
