//! The public endpoints, cached: models, model configurations and sample images, fetched without a key.

pub mod settings;

pub use settings::Settings;
