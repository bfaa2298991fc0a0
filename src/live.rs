//! Settings that change at run time: read once per request, replaced as a whole.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// A value that a reload replaces as a whole. Clones see the same value.
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// A live value, at first `value`.
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// The current value. A reader keeps the same one, even across a reload.
    #[must_use]
    pub fn read(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces the value; earlier readers keep theirs.
    pub fn replace(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
