//! Inconsistent identity settings: an unknown team, a key without a user.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::team::{KeyId, Team, TeamId, UserId};

/// Why settings are inconsistent.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticatorError {
    /// A key or an issuer's map names an unknown team.
    #[error("{by} names the team {team}, which does not exist")]
    TeamUnknown {
        /// Where it is named.
        by: String,
        /// The name.
        team: TeamId,
    },
    /// Two keys have one id.
    #[error("the key id {0} is used twice")]
    KeyTwice(KeyId),
    /// A key has no user and its id is no user name. Never happens, since an id is always a valid
    /// name.
    #[error("the key {0} stands for no user")]
    KeyWithoutUser(KeyId),
    /// Two entries for one issuer.
    #[error("the issuer {0} is listed twice")]
    IssuerTwice(Arc<str>),
    /// The machine's certificate authorities cannot be read, and an issuer needs https.
    #[error(
        "the issuer {issuer}: no certificate authority is trusted on this machine, and it has no \
         ca_file: {error}"
    )]
    Trust {
        /// The issuer.
        issuer: Arc<str>,
        /// Why.
        error: io::Error,
    },
}

/// The team that a setting names.
pub(super) fn team_of(
    teams: &HashMap<TeamId, Arc<Team>>,
    id: TeamId,
    by: impl FnOnce() -> String,
) -> Result<Arc<Team>, AuthenticatorError> {
    teams.get(&id).cloned().ok_or_else(|| AuthenticatorError::TeamUnknown { by: by(), team: id })
}

/// The user of a key: the one it names, or the key itself.
pub(super) fn user_of(id: &KeyId, named: Option<UserId>) -> Result<UserId, AuthenticatorError> {
    let itself = || UserId::parse(&format!("key:{id}"));
    named.or_else(itself).ok_or_else(|| AuthenticatorError::KeyWithoutUser(id.clone()))
}
