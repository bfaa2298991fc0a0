//! Where a paid call goes, and with whose key.
//!
//! Reading order: [`settings`], [`swap_credential`] (which key), [`forward`] (the call itself), [`judge`] (what its answer
//! means), then the wire: [`origin`], [`dial`], [`streams`], [`connection`], [`pool`], [`wire`].

mod connection;
mod dial;
pub mod forward;
pub mod judge;
pub mod keys;
pub mod observe;
pub mod origin;
mod outbound;
mod pool;
pub mod settings;
mod streams;
pub mod swap_credential;
pub mod tripwire;
pub mod wire;

use std::sync::Arc;

pub use forward::Forward;
pub use judge::{Fate, Passed};
pub use keys::KeyPool;
pub use observe::Observer;
pub use origin::Origin;
pub use settings::Settings;
pub use swap_credential::{Forwarded, SwapCredentialLayer};
pub use wire::{Bounds, Wire};

/// The upstream of one configuration: replaced whole by a reload.
pub struct Upstream {
    /// Where it is.
    pub origin: Arc<Origin>,
    /// The shared keys.
    pub keys: Arc<KeyPool>,
    /// How long a call may take and how large its answer may be.
    pub bounds: Bounds,
    settings: Settings,
}

impl Upstream {
    /// The upstream of a configuration. Its connections and its resting keys outlive a reload that does not change them.
    ///
    /// # Errors
    /// A sentence for the operator: the address, a certificate file or a key cannot be used.
    pub fn new(settings: Settings, before: Option<&Self>) -> Result<Self, String> {
        let same_origin = |before: &&Self| {
            let (old, new) = (&before.settings, &settings);
            old.base_url == new.base_url && old.protocol == new.protocol && old.ca_file == new.ca_file
        };
        let origin = match before.filter(same_origin) {
            Some(before) => Arc::clone(&before.origin),
            None => Arc::new(Origin::new(&settings).map_err(|error| error.to_string())?),
        };
        let keys = KeyPool::new(&settings.keys, before.map(|before| before.keys.as_ref()))
            .map_err(|name| format!("the upstream key {name} has characters that no key can have"))?;
        let bounds = Bounds {
            connect: settings.connect_timeout,
            answer: settings.answer_timeout,
            idle: settings.idle_timeout,
            answer_bytes_max: settings.answer_bytes_max,
        };
        Ok(Self { origin, keys: Arc::new(keys), bounds, settings })
    }
}
