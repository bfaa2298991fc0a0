//! Names that a team gave its own gateway keys, beside every user that is one.

use serde::Serialize;

use crate::identity::KeyNames;
use crate::team::{KeyId, TeamId};

/// The names that a team may know: those of its own keys.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// Names of all keys.
    pub keys: &'a KeyNames,
    /// The team that asks.
    pub team: &'a TeamId,
}

/// A value that belongs to a user, with the key's name if the user is a gateway key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named<T> {
    #[serde(flatten)]
    of: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_name: Option<String>,
}

impl<T> Named<T> {
    /// `of`, with the name of the key that its user is, if it is one.
    #[must_use]
    pub const fn new(of: T, key_name: Option<String>) -> Self {
        Self { of, key_name }
    }
}

impl Names<'_> {
    /// The name of this user's key; `None` when the user is no key of the team.
    #[must_use]
    pub fn of_user(&self, user: &str) -> Option<String> {
        self.keys.of_team(self.team, user)
    }

    /// The name of this key.
    #[must_use]
    pub fn of_key(&self, key: &KeyId) -> Option<String> {
        self.of_user(&format!("key:{key}"))
    }

    /// `of` with the name of its user's key.
    #[must_use]
    pub fn with<T>(&self, user: &str, of: T) -> Named<T> {
        Named::new(of, self.of_user(user))
    }
}
