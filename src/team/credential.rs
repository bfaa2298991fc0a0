//! Credential of a caller, as it may be shown: a gateway key's public id or a token's issuer.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Public id of a gateway key: 12 letters and digits, safe to log, show and use as a label.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// Length of an id in bytes.
    pub const BYTES: usize = 12;

    /// Parses an id; `None` when it is not 12 letters and digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed =
            text.len() == Self::BYTES && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
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

/// Lets maps of keys be looked up by text. Sound, since the derived `Eq`, `Ord` and `Hash` are
/// those of the text.
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

/// The credential of a request.
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
    /// Public id of the gateway key, if it is one.
    #[must_use]
    pub const fn key_id(&self) -> Option<&KeyId> {
        match self {
            Self::Key(id) => Some(id),
            Self::Token { .. } => None,
        }
    }

    /// Kind in the metrics and in `/gateway/v1/me`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Token { .. } => "jwt",
        }
    }

    /// Id in the ledger's rows and the access log; never a secret.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Key(id) => id.as_str(),
            Self::Token { issuer } => issuer,
        }
    }
}
