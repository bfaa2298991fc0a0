//! Credential of a request, with the team that the caller chose.

use crate::team::TeamId;

/// A credential as received, with the team that its bearer chose.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The credential. Never printed.
    pub credential: &'a str,
    /// The team, when one was chosen.
    pub team: Option<&'a TeamId>,
}

impl<'a> From<&'a str> for Presented<'a> {
    fn from(credential: &'a str) -> Self {
        Self { credential, team: None }
    }
}

impl<'a> From<&'a String> for Presented<'a> {
    fn from(credential: &'a String) -> Self {
        Self::from(credential.as_str())
    }
}
