//! Keys of the ledger's store.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DurationText, Reference};
use crate::ledger::OnLoss;

/// The store that counts spending: exactly one of `redis` and `embedded`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ledger {
    /// A Redis shared by all replicas.
    pub redis: Option<Redis>,
    /// A file on this machine, for an installation of one process.
    pub embedded: Option<Embedded>,
    /// How long after a replica's death its open calls are ended by another replica. Live replicas
    /// extend it.
    pub reservation_ttl: DurationText,
    /// How long the row of a call is kept.
    pub retention: DurationText,
    /// The most rows kept for one team: the oldest are dropped.
    #[schemars(range(min = 1_000, max = 10_000_000))]
    pub rows_max: u64,
    /// How long the daily sums of calls by user and model are kept.
    pub usage_retention: DurationText,
    /// What happens to paid calls while the store does not answer.
    pub on_outage: OnOutage,
    /// What happens to budgets when the store has lost writes.
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
#[allow(missing_docs)] // documented above, so that the schema has it in one place
pub enum OnOutage {
    Refuse,
}

/// A Redis 7 or later, or a Valkey: exactly one of `url`, `sentinel` and `cluster`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// One server: `redis://host:port`, or `rediss://host:port` for TLS; `/n` at the end selects a
    /// database. Without user or password.
    pub url: Option<String>,
    /// Servers watched by Sentinel.
    pub sentinel: Option<Sentinel>,
    /// A Redis Cluster.
    pub cluster: Option<Cluster>,
    /// The ACL user; `null` is the default user.
    pub username: Option<String>,
    /// Where to find the user's password.
    pub password: Option<Reference>,
    /// Certificates to trust instead of the system's, PEM, for `rediss://`.
    pub ca_file: Option<String>,
    /// How long the store may take to answer; after that the call is refused.
    pub deadline: DurationText,
    /// How many replicas must have a reservation before the call is sent; 0 waits for none.
    #[schemars(range(max = 16))]
    pub wait_replicas: u32,
    /// Starts on a Redis that may evict spending (a `maxmemory-policy` other than `noeviction`),
    /// which is refused otherwise.
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
    /// The Sentinels: `redis://host:port`, or `rediss://host:port` for TLS; one that answers is
    /// enough.
    #[schemars(extend("x-required" = true), length(min = 1))]
    pub urls: Vec<String>,
    /// Their name for the master.
    #[schemars(extend("x-required" = true))]
    pub master: String,
    /// The Sentinels' own ACL user; `null` is their default user.
    pub username: Option<String>,
    /// Where to find the Sentinels' own password; `null` sends none. The servers' password is
    /// beside `sentinel`.
    pub password: Option<Reference>,
}

/// A Redis Cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Some of its nodes: `redis://host:port`, or `rediss://host:port` for TLS; the others are
    /// found through them.
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
