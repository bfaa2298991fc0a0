//! What the Redis store must be told: where the servers are, how long to wait, how long things live.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::ledger::{OnLoss, OnUnknown, Retention};
use crate::secret::Secret;

/// The settings of a Redis store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the servers are.
    pub topology: Topology,
    /// The ACL user; `None` is the default user.
    pub username: Option<String>,
    /// The user's password. It is never taken from a URL.
    pub password: Option<Secret>,
    /// The Sentinels' ACL user; `None` is their default user.
    pub sentinel_username: Option<String>,
    /// What the Sentinels themselves ask for; `None` is nothing.
    pub sentinel_password: Option<Secret>,
    /// For `rediss://`: certificates of the authorities to trust, in PEM, in place of the system's.
    pub ca: Option<Arc<[u8]>>,
    /// How long the store may take to answer a batch. When it does not, everyone who waits for a turn is told as well.
    pub deadline: Duration,
    /// How long a reservation lives unless it is renewed.
    pub reservation_ttl: Duration,
    /// How long the past is kept, and how much of it.
    pub retention: Retention,
    /// What a dispatched reservation is charged that nobody settled in time.
    pub on_unknown: OnUnknown,
    /// What becomes of a team's budgets of which the store has lost something.
    pub on_loss: OnLoss,
    /// How many replicas must have a reservation before it counts; 0 asks none.
    pub wait_replicas: u32,
    /// Whether an operator has allowed servers that may evict what was spent.
    pub allow_eviction: bool,
    /// Whose time decides.
    pub clock: StoreClock,
}

/// Where the servers are. URLs are `redis://host:port` or, with TLS, `rediss://host:port`.
#[derive(Clone, Debug)]
pub enum Topology {
    /// One server.
    Single {
        /// Its URL; a path is the number of the database.
        url: String,
    },
    /// A primary that Sentinels watch and replace.
    Sentinel {
        /// The Sentinels.
        urls: Vec<String>,
        /// The name under which they know the primary.
        master: String,
    },
    /// A Redis Cluster.
    Cluster {
        /// Some of its nodes.
        urls: Vec<String>,
    },
}

/// Whose time decides.
#[derive(Clone, Debug)]
pub enum StoreClock {
    /// The server's. Replicas whose own clocks are wrong agree all the same.
    Server,
    /// For tests: this clock's time is sent with every operation and takes the place of the server's.
    Fixed(Clock),
}

impl Settings {
    /// The defaults, for servers at `topology`.
    #[must_use]
    pub fn new(topology: Topology) -> Self {
        Self {
            topology,
            username: None,
            password: None,
            sentinel_username: None,
            sentinel_password: None,
            ca: None,
            deadline: Duration::from_millis(250),
            reservation_ttl: Duration::from_secs(30),
            retention: Retention::default(),
            on_unknown: OnUnknown::Charge,
            on_loss: OnLoss::Rebuild,
            wait_replicas: 0,
            allow_eviction: false,
            clock: StoreClock::Server,
        }
    }

    /// How long the replicas have to bring what they know after a loss: each looks after every team in half of that.
    pub(super) fn gather(&self) -> Duration {
        self.reservation_ttl / 3
    }
}

/// Why settings cannot be used. Found without talking to any server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableSettings {
    /// No URL was given.
    #[error("no server is named")]
    NoServer,
    /// Not a `redis://` or `rediss://` URL.
    #[error("not a redis:// or rediss:// URL")]
    NotAUrl,
    /// A password belongs into a secret, not into a URL.
    #[error("the URL holds a user or a password; they have settings of their own")]
    CredentialInUrl,
    /// The certificates cannot be read, or the servers cannot be used together.
    #[error("{0}")]
    Refused(String),
}
