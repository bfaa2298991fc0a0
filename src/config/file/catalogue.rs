//! Keys of the public endpoints.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DurationText, SizeText};

/// The public endpoints, answered from a cache in front of the upstream.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Catalogue {
    /// Whether they need no credential.
    pub public: bool,
    /// How long an answer is served before the upstream is asked again; with 0s for each request,
    /// but at most once a second.
    pub fresh_for: DurationText,
    /// The largest answer that is kept.
    pub bytes_max: SizeText,
    /// Where an entry of the list of models has the parts that are read: the model's id and its
    /// price.
    pub fields: Fields,
}

/// JSON pointers to the parts of an entry of `GET /api/models`, which Firemoon does not document.
/// `null` tries likely places.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fields {
    /// The model's id.
    pub id: Option<String>,
    /// Its price in credits.
    pub price: Option<String>,
    /// The unit of the price: a text that mentions an image, a second or a video, or a call.
    pub unit: Option<String>,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            public: true,
            fresh_for: "60s".into(),
            bytes_max: "4MiB".into(),
            fields: Fields::default(),
        }
    }
}
