//! Keys of token issuers and gateway keys.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationText;
use super::team::Limits;
use crate::identity::settings::Algorithm;

/// Who may call.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// Issuers whose tokens (JWT) are accepted.
    pub issuers: Vec<Issuer>,
    /// Gateway keys kept in this file: the hash only.
    pub keys: Vec<Key>,
    /// How credentials that fail repeatedly from one address are slowed down.
    pub throttle: Throttle,
}

/// Limits on failed credentials, counted for each IPv4 address and each /64 of IPv6. Valid
/// credentials pass meanwhile.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// How many failures get their own refusal, the second half of them slowly.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub failures: u32,
    /// How long until all failures are forgotten, one after the other.
    pub within: DurationText,
    /// How long a slow answer is delayed.
    pub slow_by: DurationText,
    /// How long further failures get 429 after there were too many.
    pub refuse_for: DurationText,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { failures: 30, within: "1m".into(), slow_by: "250ms".into(), refuse_for: "1m".into() }
    }
}

/// An issuer of tokens.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Issuer {
    /// The exact value of `iss` in its tokens.
    #[schemars(extend("x-required" = true))]
    pub issuer: String,
    /// A token must have at least one of these in `aud`.
    #[schemars(extend("x-required" = true), length(min = 1))]
    pub audiences: Vec<String>,
    /// Accepted signature algorithms; asymmetric only.
    #[schemars(extend("x-required" = true), length(min = 1))]
    pub algorithms: Vec<Algorithm>,
    /// Where to find its keys: exactly one of `discovery`, `url` and `file`.
    #[schemars(extend("x-required" = true))]
    pub jwks: Jwks,
    /// Certificate authorities to trust instead of the machine's when its keys are fetched, PEM;
    /// for an issuer with a private one.
    pub ca_file: Option<String>,
    /// How often its keys are read again.
    pub refresh: DurationText,
    /// How long its keys are used while they cannot be read again; after that its tokens get 503
    /// `identity_unavailable`. At least `refresh`.
    pub max_stale: DurationText,
    /// How far the clocks may differ; at most 5m.
    pub leeway: DurationText,
    /// How long after `iat` a token is accepted, even if `exp` is later; `null` uses only `exp`.
    pub max_token_age: Option<DurationText>,
    /// Where a token names its team: a JSON pointer (RFC 6901) to a text, or to a list that is
    /// searched.
    #[schemars(extend("x-required" = true))]
    pub team_claim: String,
    /// Where a token names its user: a JSON pointer to a text.
    pub user_claim: String,
    /// Values of the team claim, each with its team.
    #[schemars(extend("x-required" = true))]
    pub teams: BTreeMap<String, String>,
}

impl Default for Issuer {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audiences: Vec::new(),
            algorithms: Vec::new(),
            jwks: Jwks::default(),
            ca_file: None,
            refresh: "5m".into(),
            max_stale: "24h".into(),
            leeway: "30s".into(),
            max_token_age: None,
            team_claim: String::new(),
            user_claim: "/sub".to_owned(),
            teams: BTreeMap::new(),
        }
    }
}

/// Where to find an issuer's keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Jwks {
    /// `true`: at the address in the issuer's `/.well-known/openid-configuration`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<bool>,
    /// At this address: https, or http on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// In this file. While it cannot be read, the issuer's tokens get 503 `identity_unavailable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// A gateway key, kept here as a hash.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Key {
    /// The public part: the 12 letters and digits after `mgk_`.
    #[schemars(extend("x-required" = true))]
    pub id: String,
    /// The SHA-256 of the 32 characters of its secret: 64 hexadecimal digits.
    #[schemars(extend("x-required" = true))]
    pub sha256: String,
    /// The team that pays.
    #[schemars(extend("x-required" = true))]
    pub team: String,
    /// Its name for people.
    #[schemars(extend("x-required" = true))]
    pub name: String,
    /// The user it belongs to; `null` makes the key a user of its own.
    pub user: Option<String>,
    /// When it expires, as in RFC 3339: `2027-01-31T00:00:00Z`; `null` for never.
    pub expires_at: Option<String>,
    /// Models it is restricted to, as in a team; `null` for all that the team may use.
    pub models: Option<Vec<String>>,
    /// Limits of its own, as in a team.
    pub limits: Limits,
}
