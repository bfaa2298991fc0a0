//! Settings that no directory can be made of: a team that is not there, a key that stands for no user.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::team::{KeyId, Team, TeamId, UserId};

/// Settings that no directory can be made of.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A key or an issuer's map names a team that there is not.
    #[error("{by} names the team {team}, which does not exist")]
    TeamUnknown {
        /// What names it.
        by: String,
        /// The name.
        team: TeamId,
    },
    /// Two keys have one id.
    #[error("the key id {0} is used twice")]
    KeyTwice(KeyId),
    /// A key names no user and none can be made of its id. An id is always a good name, so this is not seen.
    #[error("the key {0} stands for no user")]
    KeyWithoutUser(KeyId),
    /// Two entries for one issuer.
    #[error("the issuer {0} is listed twice")]
    IssuerTwice(Arc<str>),
    /// The certificate authorities of the machine cannot be read, and an issuer is to be reached by https.
    #[error("the issuer {issuer}: no certificate authority is trusted on this machine, and it has no ca_file: {error}")]
    Trust {
        /// Which.
        issuer: Arc<str>,
        /// Why.
        error: io::Error,
    },
}

/// The team of a name that something in the settings has.
pub(super) fn team_of(
    teams: &HashMap<TeamId, Arc<Team>>,
    id: TeamId,
    by: impl FnOnce() -> String,
) -> Result<Arc<Team>, DirectoryError> {
    teams.get(&id).cloned().ok_or_else(|| DirectoryError::TeamUnknown { by: by(), team: id })
}

/// The user a key speaks for: the one it names, or the key itself.
pub(super) fn user_of(id: &KeyId, named: Option<UserId>) -> Result<UserId, DirectoryError> {
    let itself = || UserId::parse(&format!("key:{id}"));
    named.or_else(itself).ok_or_else(|| DirectoryError::KeyWithoutUser(id.clone()))
}
