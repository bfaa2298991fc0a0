//! Where a paid call goes, and with whose key.

pub mod observe;
pub mod settings;

pub use observe::Observer;
pub use settings::Settings;
