//! Names of the gateway keys that are users of their own.

use super::Authenticator;
use super::key_registry::KeyRegistry;
use crate::live::Live;
use crate::team::{KeyId, TeamId};

/// Names of gateway keys, as known to this process. Clones share them.
#[derive(Clone)]
pub struct KeyNames {
    registry: Live<KeyRegistry>,
    authenticator: Live<Authenticator>,
}

impl KeyNames {
    /// Names of the keys in this registry and in this configuration.
    #[must_use]
    pub const fn new(registry: Live<KeyRegistry>, authenticator: Live<Authenticator>) -> Self {
        Self { registry, authenticator }
    }

    /// Name of the gateway key that this user stands for, if there is one.
    #[must_use]
    pub fn of(&self, user: &str) -> Option<String> {
        self.find(user).map(|(_, name)| name)
    }

    /// The same, but only for a key of this team, so that no team learns the names of others. Also
    /// without a key that has left the team.
    #[must_use]
    pub fn of_team(&self, team: &TeamId, user: &str) -> Option<String> {
        self.find(user).filter(|(owner, _)| owner == team).map(|(_, name)| name)
    }

    fn find(&self, user: &str) -> Option<(TeamId, String)> {
        let id = KeyId::parse(user.strip_prefix("key:")?)?;
        let authenticator = self.authenticator.read();
        let configured = authenticator.configured_keys().iter().find(|key| key.id == id);
        configured.map(|key| (key.team.clone(), key.name.clone())).or_else(|| {
            let registry = self.registry.read();
            registry.key(&id).map(|key| (key.record.team.clone(), key.record.name.clone()))
        })
    }
}
