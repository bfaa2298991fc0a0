//! Hash maps for the hot path. Their hash has a random key per process and takes a tenth of
//! SipHash's time.

use std::collections::HashMap;

/// A map for keys that come from the configuration or were checked first: outsiders must not choose
/// them, since the hash is not collision-resistant.
pub type FastMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
