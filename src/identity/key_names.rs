//! What people call the gateway keys that are users of their own.

use super::Authenticator;
use super::key_registry::KeyRegistry;
use crate::live::Live;
use crate::team::{KeyId, TeamId};

/// Names of gateway keys, as known to this process. Clones share them.
#[derive(Clone)]
pub struct KeyNames {
    register: Live<KeyRegistry>,
    directory: Live<Authenticator>,
}

impl KeyNames {
    /// Names of the keys in this register and in this directory's configuration.
    #[must_use]
    pub const fn new(register: Live<KeyRegistry>, directory: Live<Authenticator>) -> Self {
        Self { register, directory }
    }

    /// Name of the gateway key that this user stands for, if there is one.
    #[must_use]
    pub fn of(&self, user: &str) -> Option<String> {
        self.find(user).map(|(_, name)| name)
    }

    /// The same for those who may know only this team: no other team's key is named, also when
    /// the key was this team's before.
    #[must_use]
    pub fn of_team(&self, team: &TeamId, user: &str) -> Option<String> {
        self.find(user).filter(|(owner, _)| owner == team).map(|(_, name)| name)
    }

    fn find(&self, user: &str) -> Option<(TeamId, String)> {
        let id = KeyId::parse(user.strip_prefix("key:")?)?;
        let directory = self.directory.read();
        let configured = directory.configured_keys().iter().find(|key| key.id == id);
        configured.map(|key| (key.team.clone(), key.name.clone())).or_else(|| {
            let register = self.register.read();
            register.key(&id).map(|key| (key.record.team.clone(), key.record.name.clone()))
        })
    }
}
