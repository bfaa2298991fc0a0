//! Issuers of tokens and gateway keys, as the file writes them.

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
    /// What becomes of credentials that fail again and again at one address.
    pub throttle: Throttle,
}

/// Failed credentials, counted for each IPv4 address and each /64 of IPv6. Good ones pass meanwhile.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// How many failures are answered as what they are; from half of them on, slowly.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub failures: u32,
    /// The time in which they are forgotten, one after the other.
    pub within: DurationText,
    /// How long a slow answer is held back.
    pub slow_by: DurationText,
    /// How long further failures are answered with 429 once there were too many.
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
    /// What its tokens say in `iss`, letter by letter.
    #[schemars(extend("x-required" = true))]
    pub issuer: String,
    /// A token must name at least one of these in `aud`.
    #[schemars(extend("x-required" = true), length(min = 1))]
    pub audiences: Vec<String>,
    /// How its tokens may be signed; asymmetric only.
    #[schemars(extend("x-required" = true), length(min = 1))]
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are: exactly one of `discovery`, `url` and `file`.
    #[schemars(extend("x-required" = true))]
    pub jwks: Jwks,
    /// Certificate authorities to trust instead of the machine's when its keys are fetched, PEM; for an issuer behind a private one.
    pub ca_file: Option<String>,
    /// How often its keys are read again although nobody asked.
    pub refresh: DurationText,
    /// How long its keys are used when they cannot be read again; after that its tokens are answered with 503
    /// `identity_unavailable`. At least `refresh`.
    pub max_stale: DurationText,
    /// How far the clocks may be apart; at most 5m.
    pub leeway: DurationText,
    /// How long after `iat` a token is accepted, whatever its `exp` says; `null` leaves it to `exp`.
    pub max_token_age: Option<DurationText>,
    /// Where a token says which team it is for: a JSON pointer (RFC 6901) to a text, or to a list that is searched.
    #[schemars(extend("x-required" = true))]
    pub team_claim: String,
    /// Where a token says which user it is for: a JSON pointer to a text.
    pub user_claim: String,
    /// What the team claim says, and the team it means.
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

/// Where an issuer's keys are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Jwks {
    /// `true`: the issuer says where, at `/.well-known/openid-configuration`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<bool>,
    /// A key set at this address: https, or http on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A key set in this file. While it cannot be read, the issuer's tokens are answered with 503 `identity_unavailable`.
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
    /// What people call it.
    #[schemars(extend("x-required" = true))]
    pub name: String,
    /// The user it speaks for; `null` makes the key a user of its own.
    pub user: Option<String>,
    /// From this moment on it is refused, as RFC 3339 writes it: `2027-01-31T00:00:00Z`; `null` never.
    pub expires_at: Option<String>,
    /// Models it is narrowed to, as in a team; `null` is all that the team may use.
    pub models: Option<Vec<String>>,
    /// Limits of its own, as in a team.
    pub limits: Limits,
}
