//! Keys of the webhook.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DurationText, Reference};

/// Where a warning is posted, as JSON, when a budget reaches its `soft` share.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// The address: https, or http on this machine.
    #[schemars(extend("x-required" = true))]
    pub url: String,
    /// Where to find the value of the `Authorization` header; `null` sends none.
    pub authorization: Option<Reference>,
    /// Certificate authorities to trust instead of the machine's, PEM; for an address with a
    /// private one.
    pub ca_file: Option<String>,
    /// How long one attempt may take; there are at most five.
    pub timeout: DurationText,
}

impl Default for Webhook {
    fn default() -> Self {
        Self { url: String::new(), authorization: None, ca_file: None, timeout: "5s".into() }
    }
}
