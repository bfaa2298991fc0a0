//! One operation on its way to the script, and whoever waits for its answer.

use std::sync::{Arc, Weak};

use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use super::given_up::GivenUp;
use crate::ledger::{
    Admission, Books, Inquiry, Outage, ReservationId, Settled, Settlement, Swept, TopUp, ToppedUp, Verdict,
};
use crate::team::TeamId;

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Outage>>;

/// An operation and where its answer goes.
pub(super) enum Operation {
    Admit {
        admission: Box<Admission>,
        reply: Reply<Claim>,
    },
    Quote {
        admission: Box<Admission>,
        reply: Reply<Verdict>,
    },
    Dispatch {
        id: ReservationId,
        reply: Reply<bool>,
    },
    Recall {
        id: ReservationId,
        reply: Reply<bool>,
    },
    Settle {
        settlement: Box<Settlement>,
        reply: Reply<Settled>,
    },
    Renew {
        ids: Vec<ReservationId>,
        reply: Reply<()>,
    },
    Sweep {
        reply: Reply<Swept>,
    },
    Books {
        inquiry: Box<Inquiry>,
        reply: Reply<Books>,
    },
    TopUp {
        top_up: Box<TopUp>,
        reply: Reply<ToppedUp>,
    },
    /// An operator accepts what is left after a loss.
    Accept {
        reply: Reply<()>,
    },
    /// Releases an admission that nobody took, or keeps it from ever being made should it still be under way.
    GiveUp {
        id: ReservationId,
        reply: Reply<()>,
    },
}

impl Operation {
    /// Whether nobody waits for the answer any more; then it need not be sent.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Admit { reply, .. } => reply.is_closed(),
            Self::Quote { reply, .. } => reply.is_closed(),
            Self::Dispatch { reply, .. } | Self::Recall { reply, .. } => reply.is_closed(),
            // The call has ended and will not be back: what is queued is carried out.
            Self::Settle { .. } | Self::GiveUp { .. } | Self::Accept { .. } => false,
            Self::TopUp { reply, .. } => reply.is_closed(),
            Self::Renew { reply, .. } => reply.is_closed(),
            Self::Sweep { reply } => reply.is_closed(),
            Self::Books { reply, .. } => reply.is_closed(),
        }
    }

    /// Where the days begin that it counts in.
    pub(super) const fn time_zone(&self) -> Option<&TimeZone> {
        match self {
            Self::Admit { admission, .. } | Self::Quote { admission, .. } => Some(&admission.time_zone),
            Self::Books { inquiry, .. } => Some(&inquiry.time_zone),
            Self::Dispatch { .. }
            | Self::Recall { .. }
            | Self::Settle { .. }
            | Self::Renew { .. }
            | Self::Sweep { .. }
            | Self::TopUp { .. }
            | Self::Accept { .. }
            | Self::GiveUp { .. } => None,
        }
    }

    /// How much of a batch it takes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Renew { ids, .. } => ids.len().max(1),
            Self::Admit { .. }
            | Self::Quote { .. }
            | Self::Dispatch { .. }
            | Self::Recall { .. }
            | Self::Settle { .. }
            | Self::Sweep { .. }
            | Self::Books { .. }
            | Self::TopUp { .. }
            | Self::Accept { .. }
            | Self::GiveUp { .. } => 1,
        }
    }

    /// Answers that the store did not do it.
    pub(super) fn fail(self, outage: Outage) {
        // Who no longer listens needs no answer.
        let _ = match self {
            Self::Admit { reply, .. } => reply.send(Err(outage)).is_ok(),
            Self::Quote { reply, .. } => reply.send(Err(outage)).is_ok(),
            Self::Dispatch { reply, .. } | Self::Recall { reply, .. } => reply.send(Err(outage)).is_ok(),
            Self::Settle { reply, .. } => reply.send(Err(outage)).is_ok(),
            Self::Renew { reply, .. } | Self::GiveUp { reply, .. } | Self::Accept { reply } => {
                reply.send(Err(outage)).is_ok()
            }
            Self::Sweep { reply } => reply.send(Err(outage)).is_ok(),
            Self::Books { reply, .. } => reply.send(Err(outage)).is_ok(),
            Self::TopUp { reply, .. } => reply.send(Err(outage)).is_ok(),
        };
    }
}

/// A verdict on its way to the caller. If the caller has gone, what was admitted is given up.
pub(super) struct Claim {
    verdict: Option<Verdict>,
    team: TeamId,
    id: ReservationId,
    given_up: Weak<GivenUp>,
}

impl Claim {
    pub(super) fn new(verdict: Verdict, team: TeamId, id: ReservationId, given_up: &Arc<GivenUp>) -> Self {
        Self { verdict: Some(verdict), team, id, given_up: Arc::downgrade(given_up) }
    }

    pub(super) const fn is_admitted(&self) -> bool {
        matches!(self.verdict, Some(Verdict::Admitted { .. }))
    }

    /// The caller is there and takes it.
    pub(super) fn take(mut self) -> Option<Verdict> {
        self.verdict.take()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let (Some(Verdict::Admitted { .. }), Some(given_up)) = (&self.verdict, self.given_up.upgrade()) {
            given_up.add(&self.team, self.id);
        }
    }
}
