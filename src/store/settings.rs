//! Settings of the Redis client: where the servers are, which user connects, how long to wait.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::secret::Secret;

/// Settings of the Redis client.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the servers are.
    pub topology: Topology,
    /// The ACL user; `None` is the default user.
    pub username: Option<String>,
    /// The user's password. Never taken from a URL.
    pub password: Option<Secret>,
    /// Certificates of the authorities to trust with `rediss://`, in PEM, in place of the system's.
    pub ca: Option<Arc<[u8]>>,
    /// How long an answer may take.
    pub deadline: Duration,
    /// How many replicas must have a reservation, or a change of the key registry, before it
    /// counts; with 0 none is asked.
    pub wait_replicas: u32,
    /// Whether the operator allows servers that may evict spending.
    pub allow_eviction: bool,
    /// The clock that is used.
    pub clock: StoreClock,
}

/// Where the servers are. URLs are `redis://host:port` or, with TLS, `rediss://host:port`.
#[derive(Clone, Debug, PartialEq)]
pub enum Topology {
    /// One server.
    Single {
        /// The URL; a path is the number of the database.
        url: String,
    },
    /// A primary that Sentinels watch and replace.
    Sentinel {
        /// The Sentinels.
        urls: Vec<String>,
        /// The name under which they know the primary.
        master: String,
        /// The Sentinels' ACL user; `None` is their default user.
        username: Option<String>,
        /// The Sentinels' password; `None` sends none.
        password: Option<Secret>,
    },
    /// A Redis Cluster.
    Cluster {
        /// Some of its nodes.
        urls: Vec<String>,
    },
}

/// The clock that the store uses.
#[derive(Clone, Debug)]
pub enum StoreClock {
    /// The server's, so that gateway replicas with wrong clocks still agree.
    Server,
    /// A clock for tests, whose time is sent with every operation in place of the server's.
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
            ca: None,
            deadline: Duration::from_millis(250),
            wait_replicas: 0,
            allow_eviction: false,
            clock: StoreClock::Server,
        }
    }
}

/// Why settings are unusable, found without connecting to any server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableSettings {
    /// No URL was given.
    #[error("no server is named")]
    NoServer,
    /// No `redis://` or `rediss://` URL.
    #[error("not a redis:// or rediss:// URL")]
    NotAUrl,
    /// A password was given in a URL instead of a secret.
    #[error("the URL holds a user or a password; they have settings of their own")]
    CredentialInUrl,
    /// The certificates cannot be read, or the servers cannot be used together.
    #[error("{0}")]
    Refused(String),
}
