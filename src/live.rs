//! Settings that change while the gateway runs: read once per request, replaced whole.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// A value that a reload replaces as a whole. Clones see the same value.
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// A live value that starts as `value`.
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// The value as it is now. Whoever holds it keeps seeing the same one, whatever is reloaded meanwhile.
    #[must_use]
    pub fn read(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Puts another value in place; those who read before keep theirs.
    pub fn replace(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
