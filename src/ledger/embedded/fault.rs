//! Why records could not be read or written.

/// The reason, in words for the operator.
#[derive(Clone, Debug)]
pub(super) struct Fault(pub(super) String);

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
