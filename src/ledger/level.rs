//! Whose limits hold for a caller: of the team, of the user, and of the gateway key when one was used.

use std::sync::Arc;

use super::Scope;
use crate::identity::{Credential, Principal};
use crate::team::{Limits, Team};

/// One level's limits. The level's windows are counted even when it has no limits, so that a limit set later knows
/// what was used before (promise 6).
#[derive(Clone, Debug)]
pub struct Level {
    /// Whose.
    pub scope: Scope,
    /// Its limits.
    pub limits: Arc<Limits>,
}

impl Level {
    /// The levels whose limits hold: the team, the user, and the gateway key when one was used.
    #[must_use]
    pub fn of(principal: &Principal, team: &Team) -> Vec<Self> {
        let mut levels = Vec::with_capacity(3);
        levels.push(Self { scope: Scope::Team, limits: Arc::clone(&team.limits) });
        levels.push(Self { scope: Scope::User(principal.user.clone()), limits: Arc::clone(&team.user_limits) });
        if let Credential::Key(key) = &principal.credential {
            let limits = principal.key_limits.clone().unwrap_or_default();
            levels.push(Self { scope: Scope::Key(key.clone()), limits });
        }
        levels
    }
}
