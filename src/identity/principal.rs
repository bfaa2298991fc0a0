//! The principal: who a request speaks for, whatever kind of credential said so.

use std::sync::Arc;

use crate::ledger::{Level, Scope};
use crate::team::{Credential, Limits, ModelRules, Team, TeamId, UserId};

/// Who calls: a team, a user of it, and the credential that proved it.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The team that pays.
    pub team: TeamId,
    /// The user within the team.
    pub user: UserId,
    /// What was shown.
    pub credential: Credential,
    /// Gateway keys only: models the key is narrowed to.
    pub key_models: Option<Arc<ModelRules>>,
    /// Gateway keys only: limits of the key itself.
    pub key_limits: Option<Arc<Limits>>,
}

/// Who a credential speaks for, with the team as this configuration describes it.
pub type Identified = (Arc<Principal>, Arc<Team>);

impl Principal {
    /// The levels whose limits hold: the team, the user, and the gateway key when one was used. `team` is the one that
    /// pays, as its configuration describes it.
    #[must_use]
    pub fn levels(&self, team: &Team) -> Vec<Level> {
        let mut levels = Vec::with_capacity(3);
        levels.push(Level { scope: Scope::Team, limits: Arc::clone(&team.limits) });
        levels.push(Level { scope: Scope::User(self.user.clone()), limits: Arc::clone(&team.user_limits) });
        if let Credential::Key(key) = &self.credential {
            let limits = self.key_limits.clone().unwrap_or_default();
            levels.push(Level { scope: Scope::Key(key.clone()), limits });
        }
        levels
    }
}
