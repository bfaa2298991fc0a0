//! Memory for all bodies: one pool for requests, one for answers, and a signal when room is given
//! back.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};

use super::share::{Pool, Share, Shares};
use crate::live::Live;

/// State shared by every [`super::Buffer`] and [`super::AnswerPermit`].
pub(super) struct Inner {
    pub(super) requests: Pool,
    pub(super) answers: Pool,
    pub(super) shares: Live<Shares>,
    /// Signals that room for answers was given back.
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
