//! The file as it is written: its keys, their meaning and their defaults. What is said here is also the JSON Schema's text.
//!
//! Nothing is checked here but the form; every shape can be read from an empty mapping, so that a file with mistakes in
//! one part can still be checked in all others. Keys without which nothing works are marked as required.

pub mod catalogue;
pub mod identity;
pub mod ledger;
pub mod scalar;
pub mod team;
pub mod upstream;
pub mod webhook;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use catalogue::{Catalogue, Fields};
pub use identity::Identity;
pub use ledger::Ledger;
pub use scalar::{CreditsText, DurationText, FileReference, Reference, ShareText, SizeText};
pub use team::{Pricing, Team};
pub use upstream::{Queue, Upstream};
pub use webhook::Webhook;

use crate::team::Limit;

/// The configuration of Moongate. Paths of files are relative to the folder of this file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Moongate configuration")]
pub struct File {
    /// The listener that teams call. A change needs a restart.
    pub listen: Listen,
    /// The operator's listener: health, metrics, administration.
    pub admin: Admin,
    /// Where paid calls go, and with whose key.
    #[schemars(extend("x-required" = true))]
    pub upstream: Upstream,
    /// How calls wait for the shared account when it is scarce.
    pub queue: Queue,
    /// Where spending is counted: exactly one of `redis` and `embedded`. A change needs a restart.
    #[schemars(extend("x-required" = true))]
    pub ledger: Ledger,
    /// Who may call: issuers of tokens, and gateway keys.
    pub identity: Identity,
    /// The teams, by name: 1 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit.
    #[schemars(extend("x-required" = true))]
    pub teams: BTreeMap<String, Team>,
    /// What models cost.
    pub pricing: Pricing,
    /// Who is told that a budget is nearly used up; `null` is nobody. A change needs a restart.
    pub webhook: Option<Webhook>,
    /// The public endpoints: models, model configurations, sample images.
    pub catalogue: Catalogue,
    /// The teams' own views: balance, generations, usage, quotes.
    pub account: Account,
    /// What is remembered of calls: for idempotency keys, and for callers who left. A change needs a restart.
    pub replay: Replay,
    /// Bounds on connections, requests and memory. A change needs a restart.
    pub limits: Bounds,
    /// Where days and months begin, unless a team says otherwise: a name of the IANA time zone database, such as `Europe/Berlin`.
    pub time_zone: String,
    /// How the gateway stops. A change needs a restart.
    pub shutdown: Shutdown,
    /// What the gateway says about itself. A change needs a restart.
    pub telemetry: Telemetry,
    /// How changes of this file are noticed. A change needs a restart.
    pub reload: Reload,
}

impl Default for File {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            admin: Admin::default(),
            upstream: Upstream::default(),
            queue: Queue::default(),
            ledger: Ledger::default(),
            identity: Identity::default(),
            teams: BTreeMap::new(),
            pricing: Pricing::default(),
            webhook: None,
            catalogue: Catalogue::default(),
            account: Account::default(),
            replay: Replay::default(),
            limits: Bounds::default(),
            time_zone: "UTC".to_owned(),
            shutdown: Shutdown::default(),
            telemetry: Telemetry::default(),
            reload: Reload::default(),
        }
    }
}

/// The listener that teams call.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Address and port; port 0 takes a free one. `[::]` is every address of IPv6 and IPv4, or of IPv4 where there is no IPv6.
    pub address: String,
    /// Certificate and key, when the listener speaks TLS. Without them it speaks plain HTTP, for use behind an ingress.
    pub tls: Option<Tls>,
    /// Networks of proxies in front of the gateway, such as `10.0.0.0/8`: only they are believed when they say from where a
    /// request comes.
    pub trusted_proxies: Vec<String>,
    /// The header in which they say it; the other is never read.
    pub forwarded_header: ForwardedHeader,
    /// Worker threads; 0 means one per core.
    #[schemars(range(max = 1024))]
    pub workers: u32,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: "[::]:8080".to_owned(),
            tls: None,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            workers: 0,
        }
    }
}

/// The header in which proxies say from where a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // the names are those of the headers
pub enum ForwardedHeader {
    XForwardedFor,
    Forwarded,
}

/// A listener's certificate.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, PEM, leaf first.
    #[schemars(extend("x-required" = true))]
    pub cert: FileReference,
    /// Its private key, PEM.
    #[schemars(extend("x-required" = true))]
    pub key: FileReference,
}

/// The operator's listener.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port; port 0 takes a free one. Never on the team listener. A change needs a restart.
    pub address: String,
    /// Names by which it is called beside this machine's own, such as one that leads through a tunnel. Only where `address` is on
    /// loopback are names looked at: a web page must not reach it under its own name.
    pub hosts: Vec<String>,
    /// Who may use `/admin/v1`; nobody when the list is empty.
    pub tokens: Vec<Token>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: "127.0.0.1:9091".to_owned(), hosts: Vec::new(), tokens: Vec::new() }
    }
}

/// One operator's token.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Token {
    /// Its name in the audit lines.
    #[schemars(extend("x-required" = true))]
    pub name: String,
    /// Where the SHA-256 of the token is: 64 hexadecimal digits.
    #[schemars(extend("x-required" = true))]
    pub sha256: Reference,
    /// What it may be used for.
    pub role: Role,
}

/// What an operator's token may be used for: `write`, to look and to change; `read`, to look only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // said above, for the schema to say it in one place
pub enum Role {
    Read,
    #[default]
    Write,
}

/// The teams' own views, which cost nothing and have a limit of their own.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    /// How often each user may ask for them, over all replicas; refilled evenly.
    #[schemars(range(min = 1, max = Limit::REQUESTS_MAX))]
    pub requests_per_minute: u64,
}

impl Default for Account {
    fn default() -> Self {
        Self { requests_per_minute: 120 }
    }
}

/// What is remembered of calls with an `Idempotency-Key`, and of those whose callers left. With an embedded ledger it is
/// kept in memory, and forgotten at a restart.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Replay {
    /// How long an outcome is remembered.
    pub retention: DurationText,
    /// How long a parallel duplicate waits for the call that runs already; after it 409.
    pub join_max: DurationText,
    /// The largest answer that is kept whole; of a larger one the outcome is kept, without its body.
    pub answer_bytes_max: SizeText,
    /// The most bytes of answers kept at once: of one team in Redis, of all teams with an embedded ledger. The oldest give
    /// way; their outcomes stay.
    pub memory_bytes_max: SizeText,
}

impl Default for Replay {
    fn default() -> Self {
        Self {
            retention: "24h".into(),
            join_max: "330s".into(),
            answer_bytes_max: "8MiB".into(),
            memory_bytes_max: "64MiB".into(),
        }
    }
}

/// Bounds on connections, requests and memory.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// The largest body of a paid call.
    pub body_bytes_max: SizeText,
    /// The most bytes of bodies in memory at once, requests and answers, with a share for each team; beyond it calls get 503.
    pub buffered_bytes_max: SizeText,
    /// How long a body may take to arrive in all, also one that is dropped as it comes because the call was refused.
    pub body_timeout: DurationText,
    /// How long a request's head may take to arrive, the first one counted from the connection's start.
    pub header_timeout: DurationText,
    /// How long a connection may be idle between requests; longer than a balancer in front keeps its own. When
    /// `connections_max` are open, the longest idle are closed before.
    pub idle_timeout: DurationText,
    /// The least that a caller must read of an answer, in bytes a second; who reads less is cut off, and the answer is kept.
    pub read_rate_min: SizeText,
    /// Over what time that is measured.
    pub read_window: DurationText,
    /// The most bytes all headers of a request together may have.
    pub header_bytes_max: SizeText,
    /// The most connections open at once, over all workers.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: u64,
    /// The most calls at once on one HTTP/2 connection.
    #[schemars(range(min = 1, max = 10_000))]
    pub streams_per_connection_max: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            body_bytes_max: "4.5MB".into(),
            buffered_bytes_max: "512MiB".into(),
            body_timeout: "30s".into(),
            header_timeout: "10s".into(),
            idle_timeout: "75s".into(),
            read_rate_min: "16KiB".into(),
            read_window: "30s".into(),
            header_bytes_max: "64KiB".into(),
            connections_max: 10_000,
            streams_per_connection_max: 128,
        }
    }
}

/// How the gateway stops after SIGTERM.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long calls are still taken while `/readyz` already says no, so that load balancers notice.
    pub delay: DurationText,
    /// How long open calls may take to finish after that; longer than the longest call.
    pub grace: DurationText,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { delay: "5s".into(), grace: "330s".into() }
    }
}

/// What the gateway says about itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The form of the logs.
    pub logs: Logs,
    /// Whether every request of the team listener gets a line in the log.
    pub access_log: bool,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { logs: Logs::Auto, access_log: true }
    }
}

/// The form of the logs: `json`, one JSON object a line; `text`, for people; `auto`, text on a terminal and JSON elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // said above, for the schema to say it in one place
pub enum Logs {
    Json,
    Text,
    Auto,
}

/// How changes of this file are noticed. SIGHUP reads it again at once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reload {
    /// How often this file and the files it names are looked at.
    pub poll: DurationText,
}

impl Default for Reload {
    fn default() -> Self {
        Self { poll: "2s".into() }
    }
}
