//! Values between admission and the upstream: the call goes down with its money, and the money
//! comes back with the result.

use std::sync::Arc;
use std::time::Duration;

use super::reservation::Reservation;
use crate::call::{ExecutionOutcome, UpstreamResponse};
use crate::refusal::Refusal;
use crate::request::AnswerPermit;

/// A paid call. Only admission makes it, so nothing else can reach the upstream.
pub struct Admitted<L> {
    reservation: Reservation,
    answer_permit: Arc<AnswerPermit>,
    at_hand: Option<L>,
}

/// The result of an admitted call, with its reservation. Made only from an [`Admitted`].
pub struct Forwarded {
    pub(super) reservation: Reservation,
    pub(super) execution: ExecutionOutcome,
    pub(super) answer: Result<UpstreamResponse, Refusal>,
    pub(super) upstream_time: Duration,
    pub(super) queued: Duration,
}

impl<L> Admitted<L> {
    pub(super) const fn new(
        reservation: Reservation,
        answer_permit: Arc<AnswerPermit>,
        at_hand: Option<L>,
    ) -> Self {
        Self { reservation, answer_permit, at_hand }
    }

    /// The idle connection held for the call, which was reserved as dispatched and must be sent
    /// over it at once; `None`: the call waits.
    #[must_use]
    pub const fn take_at_hand(&mut self) -> Option<L> {
        self.at_hand.take()
    }

    /// The call and its reservation.
    #[must_use]
    pub const fn reservation(&self) -> &Reservation {
        &self.reservation
    }

    /// Memory for its answer.
    #[must_use]
    pub const fn answer_permit(&self) -> &Arc<AnswerPermit> {
        &self.answer_permit
    }

    /// The result, for the money and for the caller; the time at the upstream, and the time in the
    /// queue.
    #[must_use]
    pub fn forwarded(
        self,
        execution: ExecutionOutcome,
        answer: Result<UpstreamResponse, Refusal>,
        upstream_time: Duration,
        queued: Duration,
    ) -> Forwarded {
        let Self { mut reservation, .. } = self;
        reservation.let_go_of_body();
        Forwarded { reservation, execution, answer, upstream_time, queued }
    }
}
