//! How the public catalogue is served.

use std::time::Duration;

/// Where an entry of the list of models holds what is read of it: JSON pointers. `None`: likely places are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Its id (`catalogue.fields.id`).
    pub id: Option<String>,
    /// Its price in credits (`catalogue.fields.price`).
    pub price: Option<String>,
    /// What is paid for: a text that speaks of an image, of a second or video, or of a call (`catalogue.fields.unit`).
    pub unit: Option<String>,
}

/// The catalogue, as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether it is served without a credential (`catalogue.public`).
    pub public: bool,
    /// How long an answer is served from memory before the upstream is asked again (`catalogue.fresh_for`).
    pub fresh_for: Duration,
    /// The largest answer that is kept, in bytes (`catalogue.bytes_max`).
    pub bytes_max: u64,
    /// How the list of models is read.
    pub fields: Fields,
}
