//! Keys of the upstream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CreditsText, DurationText, Reference, SizeText};
use crate::team::Limit;

/// Where paid calls go, and with which shared keys.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// The address without the trailing `/v1/{model}`: https, or http on this machine.
    #[schemars(extend("x-required" = true))]
    pub base_url: String,
    /// The shared keys, at least one.
    #[schemars(extend("x-required" = true), length(min = 1))]
    pub keys: Vec<Key>,
    /// The account's limits over all keys. Calls beyond them wait in the queue.
    pub limits: AccountLimits,
    /// How the account's balance is compared with the ledger; `null` does not compare.
    pub reconcile: Option<Reconcile>,
    /// When calls are refused at once because the upstream fails; `null` for never.
    pub breaker: Option<Breaker>,
    /// The HTTP version.
    pub protocol: Protocol,
    /// Certificates to trust instead of the system's, PEM.
    pub ca_file: Option<String>,
    /// How long connecting may take, TLS included.
    pub connect_timeout: DurationText,
    /// How long the answer may take, from the last byte sent to the last byte received.
    pub answer_timeout: DurationText,
    /// How long an idle connection is kept; set it shorter than the upstream keeps it.
    pub idle_timeout: DurationText,
    /// The largest answer that is accepted.
    pub answer_bytes_max: SizeText,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            keys: Vec::new(),
            limits: AccountLimits::default(),
            reconcile: None,
            breaker: Some(Breaker::default()),
            protocol: Protocol::Auto,
            ca_file: None,
            connect_timeout: "3s".into(),
            answer_timeout: "300s".into(),
            idle_timeout: "30s".into(),
            answer_bytes_max: "64MiB".into(),
        }
    }
}

/// One shared key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Key {
    /// Its name in logs, metrics and the console: 1 to 64 letters, digits, `.`, `_` and `-`.
    #[schemars(extend("x-required" = true))]
    pub name: String,
    /// Where to find the key itself.
    #[schemars(extend("x-required" = true))]
    pub secret: Reference,
    /// Its weight in the choice of a key, relative to the other keys'.
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u32,
    /// This key's own limits.
    pub limits: AccountLimits,
}

impl Default for Key {
    fn default() -> Self {
        Self {
            name: String::new(),
            secret: Reference::default(),
            weight: 1,
            limits: AccountLimits::default(),
        }
    }
}

/// Limits of the shared account, in windows of UTC, each optional.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccountLimits {
    /// Calls a minute of the wall clock.
    #[schemars(range(min = 1, max = Limit::REQUESTS_MAX))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Calls a calendar day.
    #[schemars(range(min = 1, max = Limit::QUOTA_MAX))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<u64>,
    /// Calls a calendar month.
    #[schemars(range(min = 1, max = Limit::QUOTA_MAX))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_month: Option<u64>,
}

/// How the account's balance is compared with the ledger. All keys must belong to one account.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reconcile {
    /// How often the balance is read.
    pub every: DurationText,
    /// Where the upstream's answer has the balance: a JSON pointer.
    pub balance_pointer: String,
    /// How far the upstream's charges may differ from the ledger before that is logged.
    pub drift_max: CreditsText,
}

impl Default for Reconcile {
    fn default() -> Self {
        Self { every: "5m".into(), balance_pointer: "/balance".to_owned(), drift_max: "1".into() }
    }
}

/// When calls are refused at once with 503 because the upstream fails repeatedly: cannot be
/// reached, times out, breaks off, or answers 5xx. A 500 in Firemoon's own form counts once for
/// each team in a row. While calls are refused, the upstream is probed with `GET
/// {base_url}/models`, without a key; once it answers, calls are sent again. Each replica decides
/// by its own calls.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// How many calls in a row must fail, over all teams.
    #[schemars(range(min = 1, max = 10_000))]
    pub consecutive_failures: u32,
    /// How long until the first probe, or up to half of that less.
    pub open_for: DurationText,
    /// The longest time between probes: it doubles with every failed probe, until a call is
    /// answered.
    pub open_for_max: DurationText,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { consecutive_failures: 5, open_for: "1s".into(), open_for_max: "30s".into() }
    }
}

/// How calls wait when the shared account's limits leave no room: in turn between the teams, by
/// weight.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// How long a call waits; after that it gets 429.
    pub max_wait: DurationText,
    /// The most waiting calls of all teams, over all replicas; further ones get 503.
    #[schemars(range(min = 1, max = 10_000))]
    pub length_max: u64,
    /// The most waiting calls of one team, over all replicas; further ones get 503.
    #[schemars(range(min = 1, max = 10_000))]
    pub team_length_max: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self { max_wait: "20s".into(), length_max: 1000, team_length_max: 250 }
    }
}

/// The HTTP version: `auto`, as negotiated by TLS, or HTTP/1.1 without TLS; `http1`; `http2`,
/// without TLS by prior knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // documented above, so that the schema has it in one place
pub enum Protocol {
    Auto,
    Http1,
    Http2,
}
