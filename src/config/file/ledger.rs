//! The ledger's store, as the file writes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DurationText, Reference};
use crate::ledger::OnLoss;

/// Where spending is counted: exactly one of `redis` and `embedded`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ledger {
    /// A Redis that all replicas share.
    pub redis: Option<Redis>,
    /// A file on this machine, for installations of one process.
    pub embedded: Option<Embedded>,
    /// How long after a replica died its open calls are ended by another; open calls renew it.
    pub reservation_ttl: DurationText,
    /// How long the row of a call is kept.
    pub retention: DurationText,
    /// The most rows of one team that are kept: the oldest give way.
    #[schemars(range(min = 1_000, max = 10_000_000))]
    pub rows_max: u64,
    /// How long the daily sums of calls by user and model are kept.
    pub usage_retention: DurationText,
    /// What happens to paid calls while the store does not answer.
    pub on_outage: OnOutage,
    /// What happens to budgets of which the store has lost something.
    pub on_loss: OnLoss,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            redis: None,
            embedded: None,
            reservation_ttl: "30s".into(),
            retention: "400d".into(),
            rows_max: 100_000,
            usage_retention: "1830d".into(),
            on_outage: OnOutage::Refuse,
            on_loss: OnLoss::Rebuild,
        }
    }
}

/// Paid calls while the store does not answer: `refuse` answers them 503 `ledger_unavailable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // said above, for the schema to say it in one place
pub enum OnOutage {
    Refuse,
}

/// A Redis 7 or later, or a Valkey: exactly one of `url`, `sentinel` and `cluster`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// One server: `redis://host:port`, with TLS `rediss://host:port`; `/n` at the end selects a database. No user or password in it.
    pub url: Option<String>,
    /// Servers watched by Sentinel.
    pub sentinel: Option<Sentinel>,
    /// A Redis Cluster.
    pub cluster: Option<Cluster>,
    /// The ACL user; `null` is the default user.
    pub username: Option<String>,
    /// Where the user's password is.
    pub password: Option<Reference>,
    /// Certificates to trust instead of the system's, PEM, for `rediss://`.
    pub ca_file: Option<String>,
    /// How long the store may take to answer; after that the call is refused.
    pub deadline: DurationText,
    /// How many replicas must have a reservation before the call is sent; 0 waits for none.
    #[schemars(range(max = 16))]
    pub wait_replicas: u32,
    /// Begins on a Redis that may evict what was spent (a `maxmemory-policy` other than `noeviction`), which is refused otherwise.
    pub allow_eviction: bool,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: None,
            sentinel: None,
            cluster: None,
            username: None,
            password: None,
            ca_file: None,
            deadline: "250ms".into(),
            wait_replicas: 0,
            allow_eviction: false,
        }
    }
}

/// Servers watched by Sentinel.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sentinel {
    /// The Sentinels: `redis://host:port`, with TLS `rediss://host:port`; one that answers is enough.
    #[schemars(extend("x-required" = true), length(min = 1))]
    pub urls: Vec<String>,
    /// The name they know the master by.
    #[schemars(extend("x-required" = true))]
    pub master: String,
    /// The Sentinels' own ACL user; `null` is their default user.
    pub username: Option<String>,
    /// Where the Sentinels' own password is; `null` asks them without one. The servers' is beside `sentinel`.
    pub password: Option<Reference>,
}

/// A Redis Cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Some of its nodes: `redis://host:port`, with TLS `rediss://host:port`; the others are found through them.
    #[schemars(extend("x-required" = true), length(min = 1))]
    pub urls: Vec<String>,
}

/// A ledger in one file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Embedded {
    /// The file; made when it does not exist.
    #[schemars(extend("x-required" = true))]
    pub path: String,
}
