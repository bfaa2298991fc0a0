//! Maps that every call asks. Their hash is keyed at random in each process, and takes a tenth of SipHash's time.

use std::collections::HashMap;

/// For what the configuration names, or what is looked up only after it was checked: nobody outside chooses what is in
/// it.
pub type FastMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
