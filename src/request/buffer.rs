//! The bounded memory for buffered bodies, requests and answers together.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::http::Held;
use crate::refusal::Refusal;

const BYTES_PER_PERMIT: u64 = 1024;

/// Memory that bodies may take, over all workers. Clones share it.
#[derive(Clone, Debug)]
pub struct Buffer(Arc<Semaphore>);

impl Buffer {
    /// Memory for this many bytes of bodies (`limits.buffered_bytes_max`), counted in whole KiB.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        let permits = usize::try_from(bytes_max / BYTES_PER_PERMIT).unwrap_or(usize::MAX);
        Self(Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes memory for a body of this size, at once or not at all.
    ///
    /// # Errors
    /// `overloaded`: the memory is taken.
    pub fn hold(&self, bytes: u64) -> Result<Held, Refusal> {
        let permits = u32::try_from(bytes.div_ceil(BYTES_PER_PERMIT)).map_err(|_| Refusal::Overloaded)?;
        let permit = Arc::clone(&self.0).try_acquire_many_owned(permits).map_err(|_| Refusal::Overloaded)?;
        Ok(Held::new(permit))
    }

    /// Takes memory for a body of this size as soon as there is some. For answers: they are paid for, and may wait for
    /// memory, but not be thrown away for want of it.
    ///
    /// # Errors
    /// `overloaded`: the body is larger than all the memory there is.
    pub async fn hold_when_free(&self, bytes: u64) -> Result<Held, Refusal> {
        let permits = u32::try_from(bytes.div_ceil(BYTES_PER_PERMIT)).map_err(|_| Refusal::Overloaded)?;
        let permit = Arc::clone(&self.0).acquire_many_owned(permits).await.map_err(|_| Refusal::Overloaded)?;
        Ok(Held::new(permit))
    }

    /// Gives back what a body turned out not to need.
    pub fn shrink(held: &mut Held, bytes: usize) {
        held.shrink_to(bytes.div_ceil(1024));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_until_it_is_gone_and_comes_back() {
        let buffer = Buffer::new(10 * 1024);
        let first = buffer.hold(6 * 1024).expect("room");
        assert_eq!(buffer.hold(5 * 1024).map(drop), Err(Refusal::Overloaded));
        drop(first);
        assert!(buffer.hold(10 * 1024).is_ok());
    }
}
