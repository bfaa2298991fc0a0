//! The memory that all bodies share: one pool for requests, one for answers, and what is told when room is given back.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};

use super::share::{Pool, Share, Shares};
use crate::live::Live;

/// What every [`super::Buffer`] and [`super::Room`] of one memory has.
pub(super) struct Inner {
    pub(super) requests: Pool,
    pub(super) answers: Pool,
    pub(super) shares: Live<Shares>,
    /// Told when room for answers is given back.
    pub(super) freed: Notify,
    pub(super) overdrafts: Arc<Semaphore>,
}

impl Inner {
    pub(super) fn give_back_answers(&self, share: &Share, less: u64) {
        if less > 0 {
            self.answers.give_back(&share.answers, less);
            self.freed.notify_waiters();
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} for requests, {:?} for answers", self.requests, self.answers)
    }
}

pub(super) const fn kib(bytes: u64) -> u64 {
    bytes.div_ceil(1024)
}
