//! The configuration file's keys, with their meaning and defaults. Doc comments here are also the
//! texts of the JSON Schema.
//!
//! Only the form is checked here. Every shape can be read from an empty mapping, so that a file
//! with mistakes in one part can be checked in all others; keys that cannot be left out are marked
//! as required.

pub mod catalogue;
pub mod identity;
pub mod ledger;
pub mod scalar;
pub mod team;
pub mod telemetry;
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
pub use telemetry::{Logs, Otlp, Telemetry};
pub use upstream::{Queue, Upstream};
pub use webhook::Webhook;

use crate::team::Limit;

/// The configuration of Moongate. Paths of files are relative to the folder of this file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Moongate configuration")]
pub struct File {
    /// The listener for the teams' calls. A change needs a restart.
    pub listen: Listen,
    /// The operator's listener: health, metrics, administration.
    pub admin: Admin,
    /// Where paid calls go, and with which shared keys.
    #[schemars(extend("x-required" = true))]
    pub upstream: Upstream,
    /// How calls wait when the shared account's limits leave no room.
    pub queue: Queue,
    /// The store that counts spending: exactly one of `redis` and `embedded`. A change needs a
    /// restart.
    #[schemars(extend("x-required" = true))]
    pub ledger: Ledger,
    /// Who may call: token issuers and gateway keys.
    pub identity: Identity,
    /// The teams, by name: 1 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit.
    #[schemars(extend("x-required" = true))]
    pub teams: BTreeMap<String, Team>,
    /// The prices of the models.
    pub pricing: Pricing,
    /// Where to report a budget that is nearly used up; `null` for nowhere. A change needs a
    /// restart.
    pub webhook: Option<Webhook>,
    /// The public endpoints: models, model configurations, sample images.
    pub catalogue: Catalogue,
    /// The views a team has of its own calls: balance, generations, usage, quotes.
    pub account: Account,
    /// How answers of calls are kept: for idempotency keys, and for callers who left. A change
    /// needs a restart.
    pub replay: Replay,
    /// Bounds on connections, requests and memory. A change needs a restart.
    pub limits: Bounds,
    /// The time zone of days and months, unless a team has its own: a name of the IANA time zone
    /// database, such as `Europe/Berlin`.
    pub time_zone: String,
    /// How the gateway stops. A change needs a restart.
    pub shutdown: Shutdown,
    /// Logs and traces. A change needs a restart.
    pub telemetry: Telemetry,
    /// How changes to this file are noticed. A change needs a restart.
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

/// The listener for the teams' calls.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Address and port; port 0 takes a free one. `[::]` accepts both IPv6 and IPv4, or IPv4 alone
    /// where there is no IPv6.
    pub address: String,
    /// Certificate and key for TLS. Without them the listener speaks plain HTTP, for use behind an
    /// ingress.
    pub tls: Option<Tls>,
    /// Networks of proxies in front of the gateway, such as `10.0.0.0/8`. Only these are trusted to
    /// report a caller's address.
    pub trusted_proxies: Vec<String>,
    /// The header in which they report it; the other one is never read.
    pub forwarded_header: ForwardedHeader,
    /// Web pages of other origins that may call.
    pub cors: Cors,
    /// Worker threads; 0 means one per core.
    #[schemars(range(max = 1024))]
    pub workers: u32,
}

/// Web pages of other origins that may call (Cross-Origin Resource Sharing).
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Their origins, such as `https://studio.example.com`. None by default: only pages of the
    /// gateway itself may call.
    pub origins: Vec<String>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: "[::]:8080".to_owned(),
            tls: None,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            cors: Cors::default(),
            workers: 0,
        }
    }
}

/// The header in which proxies report a caller's address.
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
    /// Address and port; port 0 takes a free one. Must differ from the team listener's. A change
    /// needs a restart.
    pub address: String,
    /// Host names it may be called by, in addition to this machine's own, such as one of a tunnel.
    /// Checked only where `address` is on loopback, so that a web page cannot reach it under its
    /// own name.
    pub hosts: Vec<String>,
    /// Who may use `/admin/v1`; nobody if the list is empty.
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
    /// The operator's name in audit lines.
    #[schemars(extend("x-required" = true))]
    pub name: String,
    /// Where to find the SHA-256 of the token: 64 hexadecimal digits.
    #[schemars(extend("x-required" = true))]
    pub sha256: Reference,
    /// What the token allows.
    pub role: Role,
}

/// What an operator's token allows: `write`, to read and to change; `read`, only to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // documented above, so that the schema has it in one place
pub enum Role {
    Read,
    #[default]
    Write,
}

/// The views a team has of its own calls. They cost nothing and have a rate limit of their own.
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

/// How answers are kept of calls with an `Idempotency-Key`, and of calls whose callers left. With
/// an embedded ledger they are kept in memory and lost at a restart.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Replay {
    /// How long an outcome is kept.
    pub retention: DurationText,
    /// How long a duplicate waits for the first call while that is running; after that it gets 409.
    pub join_max: DurationText,
    /// The largest answer that is kept. Of a larger one only the outcome is kept.
    pub answer_bytes_max: SizeText,
    /// The most bytes of answers kept at once: per team in Redis, in all with an embedded ledger.
    /// The oldest are dropped; their outcomes stay.
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
    /// The most bytes of bodies in memory at once, requests and answers, with a share for each
    /// team; calls that find no room get 503.
    pub buffered_bytes_max: SizeText,
    /// How long a whole body may take to arrive, also that of a refused call.
    pub body_timeout: DurationText,
    /// How long a request's head may take to arrive; the first is counted from the connection's
    /// start.
    pub header_timeout: DurationText,
    /// How long a connection may be idle between requests; set it longer than a balancer in front
    /// keeps its own. When `connections_max` are open, the longest idle are closed earlier.
    pub idle_timeout: DurationText,
    /// The least rate at which a caller must read an answer, in bytes a second. A slower caller is
    /// cut off, and the answer is kept.
    pub read_rate_min: SizeText,
    /// The time over which that rate is measured.
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
    /// How long calls are still taken while `/readyz` already reports not ready, so that load
    /// balancers notice.
    pub delay: DurationText,
    /// How long open calls may take to finish after that; set it longer than the longest call.
    pub grace: DurationText,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { delay: "5s".into(), grace: "330s".into() }
    }
}

/// How changes to this file are noticed. SIGHUP reads it at once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reload {
    /// How often this file and the files it names are checked.
    pub poll: DurationText,
}

impl Default for Reload {
    fn default() -> Self {
        Self { poll: "2s".into() }
    }
}
