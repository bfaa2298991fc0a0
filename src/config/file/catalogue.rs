//! The public endpoints, as the file writes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DurationText, SizeText};

/// The public endpoints, answered from a cache in front of the upstream.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Catalogue {
    /// Whether they need no credential.
    pub public: bool,
    /// How long an answer is served before the upstream is asked again; 0s asks for each request, but once a second at most.
    pub fresh_for: DurationText,
    /// The largest answer that is kept.
    pub bytes_max: SizeText,
    /// Where the list of models holds what is read of it: which models there are, and what they cost.
    pub fields: Fields,
}

/// Where an entry of `GET /api/models` holds its parts, which Firemoon does not document: JSON pointers within the entry. `null` tries
/// likely places.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fields {
    /// The model's id.
    pub id: Option<String>,
    /// Its price in credits.
    pub price: Option<String>,
    /// What is paid for: a text that speaks of an image, of a second or a video, or of a call.
    pub unit: Option<String>,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self { public: true, fresh_for: "60s".into(), bytes_max: "4MiB".into(), fields: Fields::default() }
    }
}
