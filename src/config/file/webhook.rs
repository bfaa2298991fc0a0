//! The webhook, as the file writes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DurationText, Reference};

/// Who is told, by a POST of JSON, that a budget has come to its `soft` share.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// Where to: https, or http on this machine.
    #[schemars(extend("x-required" = true))]
    pub url: String,
    /// Where the value of its `Authorization` header is; `null` sends none.
    pub authorization: Option<Reference>,
    /// Certificate authorities to trust instead of the machine's, PEM; for an address behind a private one.
    pub ca_file: Option<String>,
    /// How long one try may take; there are five at most.
    pub timeout: DurationText,
}

impl Default for Webhook {
    fn default() -> Self {
        Self { url: String::new(), authorization: None, ca_file: None, timeout: "5s".into() }
    }
}
