//! Delivery of an answer: known where it is written, of interest where it was made.

use std::fmt;

use bytes::Bytes;

/// Travels with an answer until it is known whether the answer arrived. Dropped before then, it
/// counts as not arrived and calls its maker back.
pub struct Delivery {
    /// The body; none once it was dropped to save memory.
    body: Option<Bytes>,
    missed: Option<Box<dyn FnOnce(Option<Bytes>) + Send>>,
}

/// A body that may carry a delivery.
pub trait Deliver {
    /// Takes the delivery, to report whether the body arrived.
    fn take_delivery(&mut self) -> Option<Delivery>;
}

impl Delivery {
    /// A delivery of this body; none if the body would not be kept. `missed` is called when it did
    /// not arrive, and must neither wait nor block.
    #[must_use]
    pub fn new(body: Option<Bytes>, missed: impl FnOnce(Option<Bytes>) + Send + 'static) -> Self {
        Self { body, missed: Some(Box::new(missed)) }
    }

    /// Reports that the answer arrived.
    pub fn arrived(mut self) {
        self.missed = None;
    }

    /// Bytes it keeps in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len)
    }

    /// Drops the body to save memory: if the answer does not arrive, only that is reported.
    pub fn forget_body(&mut self) {
        self.body = None;
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(missed) = self.missed.take() {
            missed(self.body.take());
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the delivery of {} bytes", self.bytes())
    }
}
