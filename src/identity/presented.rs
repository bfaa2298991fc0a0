//! What a request presents to say who calls: a credential, and the team it chose where it may choose.

use crate::team::TeamId;

/// A credential as it came, and the team that its bearer chose.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The credential. It is never printed.
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
