//! Whether an answer reached its caller: known where it is written, of interest where it was made.

use std::fmt;

use bytes::Bytes;

/// Goes with an answer until it is known whether that has reached its caller. Dropped before, it has not, as far as
/// anybody can tell, and whoever made the answer hears it.
pub struct Delivery {
    /// None once it has given way to others.
    body: Option<Bytes>,
    missed: Option<Box<dyn FnOnce(Option<Bytes>) + Send>>,
}

/// A body that may have a delivery with it.
pub trait Deliver {
    /// Takes it out, to tell whether the body was delivered.
    fn take_delivery(&mut self) -> Option<Delivery>;
}

impl Delivery {
    /// The delivery of this body; none is one that would not be kept. What is to be done when it did not arrive must
    /// neither wait nor block.
    #[must_use]
    pub fn new(body: Option<Bytes>, missed: impl FnOnce(Option<Bytes>) + Send + 'static) -> Self {
        Self { body, missed: Some(Box::new(missed)) }
    }

    /// The answer has arrived.
    pub fn arrived(mut self) {
        self.missed = None;
    }

    /// How many bytes it keeps in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len)
    }

    /// Forgets the body, to make room: should the answer not arrive, no more than that is known of it.
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
