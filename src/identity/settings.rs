//! What an operator says about credentials, in shapes that cannot be wrong by themselves.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::Algorithm as Jws;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::key::SecretHash;
use super::throttle;
use crate::team::{KeyId, Limits, ModelRules, TeamId, UserId};

/// Everything that may let a caller in.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whose tokens are accepted; no issuer twice.
    pub issuers: Vec<IssuerSettings>,
    /// Gateway keys kept in the configuration; no id twice.
    pub keys: Vec<KeySettings>,
    /// How credentials that fail are answered.
    pub throttle: throttle::Settings,
}

/// One issuer of tokens.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// The issuer's URL, exactly as its tokens say it in `iss`.
    pub issuer: Arc<str>,
    /// A token must name at least one of these in `aud`; there is at least one.
    pub audiences: Vec<String>,
    /// The algorithms its tokens may be signed with; there is at least one.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are.
    pub keys: KeySource,
    /// The certificate authorities that are trusted instead of the machine's when they are fetched, PEM.
    pub authorities: Option<Arc<[u8]>>,
    /// How often they are read again although nobody asked.
    pub refresh: Duration,
    /// How long keys are used after they were last read, when they cannot be read again; then no token of the issuer
    /// can be judged until they are.
    pub max_stale: Duration,
    /// How far the clocks may be apart; at most [`IssuerSettings::LEEWAY_MAX`].
    pub leeway: Duration,
    /// How long after `iat` a token is accepted, whatever its `exp` says. When set, `iat` is required.
    pub max_token_age: Option<Duration>,
    /// Where a token says which team it is for: a string, or a list that is searched.
    pub team_claim: ClaimPath,
    /// Where a token says which user it is for: a string.
    pub user_claim: ClaimPath,
    /// What the team claim says, and the team it means.
    pub teams: HashMap<String, TeamId>,
}

impl IssuerSettings {
    /// How far clocks may be apart unless the operator says otherwise.
    pub const LEEWAY: Duration = Duration::from_secs(30);
    /// The most that may be allowed for clocks.
    pub const LEEWAY_MAX: Duration = Duration::from_secs(300);
    /// How long keys that cannot be read again are used unless the operator says otherwise.
    pub const MAX_STALE: Duration = Duration::from_secs(24 * 3600);
    /// How often keys are read again unless the operator says otherwise.
    pub const REFRESH: Duration = Duration::from_secs(300);
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A key set (RFC 7517) at this URL: https, or http on loopback.
    Url(String),
    /// A key set in this file.
    File(PathBuf),
    /// The issuer says where: `{issuer}/.well-known/openid-configuration` is read, must name the same issuer, and its
    /// `jwks_uri` is used (OpenID Connect Discovery 1.0, section 4).
    Discovery,
}

/// How a token may be signed (RFC 7518 section 3.1, RFC 8037); `Ed25519` and `EdDSA` are the same (RFC 9864).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = with_the_other_name)]
#[allow(missing_docs)] // the names are the registered ones
// Asymmetric only: what is not here is never accepted.
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    #[serde(alias = "Ed25519")]
    EdDSA,
}

/// The schema knows the name that serde takes as well.
fn with_the_other_name(schema: &mut Schema) {
    if let Some(names) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        names.push("Ed25519".into());
    }
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// The registered name, as in the configuration, in key sets and in tokens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Reads a name, letter by letter. One has a second one: `Ed25519` is `EdDSA` with a key of that curve (RFC 9864
    /// section 2.2), the only curve whose keys are taken.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDSA);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    pub(super) const fn jws(self) -> Jws {
        match self {
            Self::RS256 => Jws::RS256,
            Self::RS384 => Jws::RS384,
            Self::RS512 => Jws::RS512,
            Self::PS256 => Jws::PS256,
            Self::PS384 => Jws::PS384,
            Self::PS512 => Jws::PS512,
            Self::ES256 => Jws::ES256,
            Self::ES384 => Jws::ES384,
            Self::EdDSA => Jws::EdDSA,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A place in a token's claims: a JSON pointer (RFC 6901) below the top, such as `/groups` or
/// `/kubernetes.io/namespace`.
///
/// A `/` inside a name is written `~1`, a `~` is written `~0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Box<str>);

impl ClaimPath {
    /// Reads a pointer; `None` unless it begins with `/`, names something, and escapes as RFC 6901 section 3 says.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let escapes_well = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        (text.len() > 1 && text.starts_with('/') && escapes_well).then(|| Self(text.into()))
    }

    /// The pointer as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A gateway key that the configuration keeps: never the key, only the hash of its secret.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// The public id.
    pub id: KeyId,
    /// SHA-256 of the 32 characters of the secret.
    pub sha256: SecretHash,
    /// The team that pays.
    pub team: TeamId,
    /// What people call it.
    pub name: String,
    /// The user it speaks for; `key:<id>` when it names none.
    pub user: Option<UserId>,
    /// From this moment on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Models it is narrowed to.
    pub models: Option<Arc<ModelRules>>,
    /// Limits of its own.
    pub limits: Option<Arc<Limits>>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    #[test]
    fn an_algorithm_is_spelt_as_registered_and_none_is_symmetric() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDSA), "RFC 9864");
        for name in [
            "", "none", "None", "NONE", "nOnE", "HS256", "HS512", "rs256", "RS256 ", "ES512", "ES256K", "ed25519",
            "Ed448",
        ] {
            assert_eq!(Algorithm::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_claim_path_is_a_pointer_to_something() {
        for good in ["/sub", "/groups", "/kubernetes.io/namespace", "/https:~1~1x.example~1team", "/a~0b", "/a/0"] {
            assert_eq!(ClaimPath::parse(good).expect(good).as_str(), good);
        }
        for bad in ["", "/", "sub", "sub/", "/a~", "/a~2", " /sub"] {
            assert_eq!(ClaimPath::parse(bad), None, "{bad}");
        }
    }
}
