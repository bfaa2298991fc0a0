//! Keys of logs and traces.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DurationText, Reference, ShareText};

/// Logs and traces.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The format of the logs.
    pub logs: Logs,
    /// Whether every request to the team listener is logged.
    pub access_log: bool,
    /// Where traces are sent, as OTLP over HTTP; `null` for nowhere.
    pub otlp: Option<Otlp>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { logs: Logs::Auto, access_log: true, otlp: None }
    }
}

/// The format of the logs: `json`, one JSON object a line; `text`, for people; `auto`, text on a
/// terminal and JSON elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // documented above, so that the schema has it in one place
pub enum Logs {
    Json,
    Text,
    Auto,
}

/// A collector of traces.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Otlp {
    /// Its address, http or https; `/v1/traces` is appended to its path.
    #[schemars(extend("x-required" = true))]
    pub endpoint: String,
    /// Headers of each request to it, by name: where to find their values.
    pub headers: BTreeMap<String, Reference>,
    /// Certificate authorities to trust instead of the machine's, PEM; for an address with a
    /// private one.
    pub ca_file: Option<String>,
    /// Which share of the traces that begin at the gateway is recorded. In a trace that a caller
    /// began, its `sampled` flag decides.
    pub sample_share: ShareText,
    /// How long one attempt may take; there are at most five.
    pub timeout: DurationText,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            headers: BTreeMap::new(),
            ca_file: None,
            sample_share: ShareText("1".to_owned()),
            timeout: "10s".into(),
        }
    }
}
