//! By what a caller of a team is known: the public id of a gateway key, or the issuer of a token.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The public part of a gateway key: 12 letters and digits, safe to log, to show and to label.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// How long an id is, in bytes.
    pub const BYTES: usize = 12;

    /// Reads an id; `None` when it is not 12 letters and digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == Self::BYTES && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        well_formed.then(|| Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id, shared.
    #[must_use]
    pub fn to_shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

/// Lets a map of keys be asked by text. Sound because the derived `Eq`, `Ord` and `Hash` are those of the text.
impl Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}", self.0)
    }
}

/// Which credential was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A gateway key, by its public id.
    Key(KeyId),
    /// A token of this issuer.
    Token {
        /// The issuer's URL.
        issuer: Arc<str>,
    },
}

impl Credential {
    /// The kind, as the metrics and `/gateway/v1/me` name it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Token { .. } => "jwt",
        }
    }

    /// What the ledger's rows and the access log say of it; never a secret.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Key(id) => id.as_str(),
            Self::Token { issuer } => issuer,
        }
    }
}
