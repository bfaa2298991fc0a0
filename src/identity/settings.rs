//! Identity settings, in types that cannot hold invalid values.

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

/// Everything that may admit a caller.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Accepted issuers; none twice.
    pub issuers: Vec<IssuerSettings>,
    /// Gateway keys in the configuration; no id twice.
    pub keys: Vec<KeySettings>,
    /// How failed credentials are throttled.
    pub throttle: throttle::Settings,
}

/// One issuer of tokens.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// The issuer, exactly as in `iss` of its tokens.
    pub issuer: Arc<str>,
    /// A token must have at least one of these in `aud`; not empty.
    pub audiences: Vec<String>,
    /// Algorithms its tokens may be signed with; not empty.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are.
    pub keys: KeySource,
    /// Certificate authorities to trust instead of the machine's when its keys are fetched, PEM.
    pub authorities: Option<Arc<[u8]>>,
    /// How often its keys are read again.
    pub refresh: Duration,
    /// How long its keys are used after the last successful read; after that its tokens cannot be
    /// judged.
    pub max_stale: Duration,
    /// How far clocks may differ; at most [`IssuerSettings::LEEWAY_MAX`].
    pub leeway: Duration,
    /// How long after `iat` a token is accepted, even if `exp` is later. If set, `iat` is required.
    pub max_token_age: Option<Duration>,
    /// Where a token names its team: a string, or a list that is searched.
    pub team_claim: ClaimPath,
    /// Where a token names its user: a string.
    pub user_claim: ClaimPath,
    /// Values of the team claim, each with its team.
    pub teams: HashMap<String, TeamId>,
}

impl IssuerSettings {
    /// Default of [`Self::leeway`].
    pub const LEEWAY: Duration = Duration::from_secs(30);
    /// Largest allowed leeway.
    pub const LEEWAY_MAX: Duration = Duration::from_secs(300);
    /// Default of [`Self::max_stale`].
    pub const MAX_STALE: Duration = Duration::from_secs(24 * 3600);
    /// Default of [`Self::refresh`].
    pub const REFRESH: Duration = Duration::from_secs(300);
}

/// Where to find an issuer's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A key set (RFC 7517) at this URL: https, or http on loopback.
    Url(String),
    /// A key set in this file.
    File(PathBuf),
    /// Discovery: `{issuer}/.well-known/openid-configuration` must name the same issuer and has the
    /// `jwks_uri` (OpenID Connect Discovery 1.0, section 4).
    Discovery,
}

/// Signature algorithm of a token (RFC 7518 section 3.1, RFC 8037); `Ed25519` and `EdDSA` are the
/// same (RFC 9864).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = with_the_other_name)]
#[allow(missing_docs)] // the names are the registered ones
// Asymmetric only: any other algorithm is rejected.
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

/// Adds the second name that serde accepts to the schema.
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

    /// Registered name, as in the configuration, in key sets and in tokens.
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

    /// Parses a name exactly. `Ed25519` is a second name of `EdDSA` (RFC 9864 section 2.2), since
    /// no other curve is accepted.
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

/// A JSON pointer (RFC 6901) into a token's claims, such as `/groups` or
/// `/kubernetes.io/namespace`.
///
/// A `/` inside a name is written `~1`, a `~` is written `~0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Box<str>);

impl ClaimPath {
    /// Parses a pointer; `None` unless it begins with `/`, names something, and escapes as in RFC
    /// 6901 section 3.
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

/// A gateway key in the configuration: the hash of its secret only.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// The public id.
    pub id: KeyId,
    /// SHA-256 of the 32 characters of the secret.
    pub sha256: SecretHash,
    /// The team that pays.
    pub team: TeamId,
    /// Its name for people.
    pub name: String,
    /// The user it belongs to; `None` makes the key a user of its own.
    pub user: Option<UserId>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Models it is restricted to.
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
            "", "none", "None", "NONE", "nOnE", "HS256", "HS512", "rs256", "RS256 ", "ES512",
            "ES256K", "ed25519", "Ed448",
        ] {
            assert_eq!(Algorithm::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_claim_path_is_a_pointer_to_something() {
        for good in [
            "/sub",
            "/groups",
            "/kubernetes.io/namespace",
            "/https:~1~1x.example~1team",
            "/a~0b",
            "/a/0",
        ] {
            assert_eq!(ClaimPath::parse(good).expect(good).as_str(), good);
        }
        for bad in ["", "/", "sub", "sub/", "/a~", "/a~2", " /sub"] {
            assert_eq!(ClaimPath::parse(bad), None, "{bad}");
        }
    }
}
