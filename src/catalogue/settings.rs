//! Settings of the public catalogue.

use std::time::Duration;

/// JSON pointers into an entry of the list of models. `None` tries likely places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The id (`catalogue.fields.id`).
    pub id: Option<String>,
    /// The price in credits (`catalogue.fields.price`).
    pub price: Option<String>,
    /// The unit of the price: a text that mentions an image, a second or video, or a call
    /// (`catalogue.fields.unit`).
    pub unit: Option<String>,
}

/// The catalogue, as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether it is served without a credential (`catalogue.public`).
    pub public: bool,
    /// How long an answer is served from memory before the upstream is asked again
    /// (`catalogue.fresh_for`).
    pub fresh_for: Duration,
    /// The largest answer that is kept, in bytes (`catalogue.bytes_max`).
    pub bytes_max: u64,
    /// How to read the list of models.
    pub fields: Fields,
}
