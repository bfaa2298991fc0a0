//! One operation on a team, and whoever waits for its answer.

use std::sync::{Arc, Weak};

use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use super::abandoned::Abandoned;
use super::work::Answer;
use crate::ledger::{
    Admission, BudgetSnapshot, Level, Outage, Phase, ReservationId, Settled, Settlement, SnapshotQuery, Swept, TopUp,
    ToppedUp, Verdict,
};
use crate::team::TeamId;

/// Where an answer goes.
pub(in crate::ledger) type Response<T> = oneshot::Sender<Result<T, Outage>>;

/// An operation and where its answer goes.
pub(in crate::ledger) enum Operation {
    Admit {
        admission: Box<Admission>,
        response: Response<Claim>,
    },
    Quote {
        admission: Box<Admission>,
        response: Response<Verdict>,
    },
    Dispatch {
        id: ReservationId,
        response: Response<bool>,
    },
    Recall {
        id: ReservationId,
        response: Response<bool>,
    },
    Settle {
        settlement: Box<Settlement>,
        response: Response<Settled>,
    },
    /// The answer of a call that has ended was read, or given up.
    ReleaseSlots {
        id: ReservationId,
        response: Response<()>,
    },
    Renew {
        ids: Vec<ReservationId>,
        response: Response<()>,
    },
    Sweep {
        response: Response<Swept>,
    },
    Books {
        inquiry: Box<SnapshotQuery>,
        response: Response<BudgetSnapshot>,
    },
    TopUp {
        top_up: Box<TopUp>,
        response: Response<ToppedUp>,
    },
    /// An operator accepts what is left after a loss.
    Accept {
        response: Response<()>,
    },
    /// Releases an admission that nobody took, or keeps it from ever being made should it still be under way.
    Abandon {
        id: ReservationId,
        response: Response<()>,
    },
}

impl Operation {
    /// Whether nobody waits for the answer any more; then it need not be sent.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Admit { response, .. } => response.is_closed(),
            Self::Quote { response, .. } => response.is_closed(),
            Self::Dispatch { response, .. } | Self::Recall { response, .. } => response.is_closed(),
            // The call has ended and will not be back: what is queued is carried out.
            Self::Settle { .. } | Self::ReleaseSlots { .. } | Self::Abandon { .. } | Self::Accept { .. } => false,
            Self::TopUp { response, .. } => response.is_closed(),
            Self::Renew { response, .. } => response.is_closed(),
            Self::Sweep { response } => response.is_closed(),
            Self::Books { response, .. } => response.is_closed(),
        }
    }

    /// How much of a batch it takes.
    pub(super) fn weight(&self) -> usize {
        self.renews().len().max(1)
    }

    /// The admission that it asks for, or asks about; and whether it reserves.
    pub(super) const fn admission(&self) -> Option<(&Admission, bool)> {
        match self {
            Self::Admit { admission, .. } => Some((admission, true)),
            Self::Quote { admission, .. } => Some((admission, false)),
            Self::Dispatch { .. }
            | Self::Recall { .. }
            | Self::Settle { .. }
            | Self::ReleaseSlots { .. }
            | Self::Renew { .. }
            | Self::Sweep { .. }
            | Self::Books { .. }
            | Self::TopUp { .. }
            | Self::Accept { .. }
            | Self::Abandon { .. } => None,
        }
    }

    /// The call that it marks, and how far that has come.
    pub(super) const fn marks(&self) -> Option<(ReservationId, Phase)> {
        match self {
            Self::Dispatch { id, .. } => Some((*id, Phase::Dispatched)),
            Self::Recall { id, .. } => Some((*id, Phase::TurnedBack)),
            Self::Admit { .. }
            | Self::Quote { .. }
            | Self::Settle { .. }
            | Self::ReleaseSlots { .. }
            | Self::Renew { .. }
            | Self::Sweep { .. }
            | Self::Books { .. }
            | Self::TopUp { .. }
            | Self::Accept { .. }
            | Self::Abandon { .. } => None,
        }
    }

    /// The calls whose deadlines it puts off.
    pub(super) const fn renews(&self) -> &[ReservationId] {
        match self {
            Self::Renew { ids, .. } => ids.as_slice(),
            Self::Admit { .. }
            | Self::Quote { .. }
            | Self::Dispatch { .. }
            | Self::Recall { .. }
            | Self::Settle { .. }
            | Self::ReleaseSlots { .. }
            | Self::Sweep { .. }
            | Self::Books { .. }
            | Self::TopUp { .. }
            | Self::Accept { .. }
            | Self::Abandon { .. } => &[],
        }
    }

    /// The levels whose limits it looks at.
    pub(super) fn levels(&self) -> &[Level] {
        if let Self::Books { inquiry, .. } = self {
            return &inquiry.levels;
        }
        self.admission().map_or(&[], |(admission, _)| &admission.levels)
    }

    /// Where the days begin that it counts in.
    pub(super) fn time_zone(&self) -> Option<&TimeZone> {
        if let Self::Books { inquiry, .. } = self {
            return Some(&inquiry.time_zone);
        }
        self.admission().map(|(admission, _)| &admission.time_zone)
    }

    /// Answers that the ledger did not do it.
    pub(in crate::ledger) fn fail(self, outage: Outage) {
        // Who no longer listens needs no answer.
        let _ = match self {
            Self::Admit { response, .. } => response.send(Err(outage)).is_ok(),
            Self::Quote { response, .. } => response.send(Err(outage)).is_ok(),
            Self::Dispatch { response, .. } | Self::Recall { response, .. } => response.send(Err(outage)).is_ok(),
            Self::Settle { response, .. } => response.send(Err(outage)).is_ok(),
            Self::Renew { response, .. }
            | Self::ReleaseSlots { response, .. }
            | Self::Abandon { response, .. }
            | Self::Accept { response } => response.send(Err(outage)).is_ok(),
            Self::Sweep { response } => response.send(Err(outage)).is_ok(),
            Self::Books { response, .. } => response.send(Err(outage)).is_ok(),
            Self::TopUp { response, .. } => response.send(Err(outage)).is_ok(),
        };
    }

    /// Hands out the answer. An admission whose asker has gone is abandoned; one that does not stand after all is, too.
    pub(super) fn answer(self, answer: Answer, team: &TeamId, abandoned: &Arc<Abandoned>, void: Option<&Outage>) {
        let _ = match (self, answer) {
            (Self::Admit { admission, response }, Answer::Verdict(verdict)) => {
                let claim = Claim::new(verdict, team.clone(), admission.id, abandoned);
                let claim = match void {
                    Some(outage) if claim.is_admitted() => Err(outage.clone()),
                    Some(_) | None => Ok(claim),
                };
                response.send(claim).is_ok()
            }
            (Self::Quote { response, .. }, Answer::Verdict(verdict)) => response.send(Ok(verdict)).is_ok(),
            (Self::Dispatch { response, .. } | Self::Recall { response, .. }, Answer::IsOpen(open)) => {
                response.send(Ok(open)).is_ok()
            }
            (Self::Settle { response, .. }, Answer::Settled(settled)) => response.send(Ok(settled)).is_ok(),
            (Self::Sweep { response }, Answer::Swept(swept)) => response.send(Ok(swept)).is_ok(),
            (Self::Books { response, .. }, Answer::Books(books)) => response.send(Ok(books)).is_ok(),
            (Self::TopUp { response, .. }, Answer::ToppedUp(topped_up)) => response.send(Ok(topped_up)).is_ok(),
            (
                Self::Renew { response, .. } | Self::ReleaseSlots { response, .. } | Self::Accept { response },
                Answer::Done,
            )
            | (Self::Abandon { response, .. }, Answer::Settled(_)) => response.send(Ok(())).is_ok(),
            (operation, _) => {
                operation.fail(Outage::Refused("an answer to another question".to_owned()));
                false
            }
        };
    }
}

/// A verdict on its way to the caller. If the caller has gone, what was admitted is abandoned.
pub(in crate::ledger) struct Claim {
    verdict: Option<Verdict>,
    team: TeamId,
    id: ReservationId,
    abandoned: Weak<Abandoned>,
}

impl Claim {
    fn new(verdict: Verdict, team: TeamId, id: ReservationId, abandoned: &Arc<Abandoned>) -> Self {
        Self { verdict: Some(verdict), team, id, abandoned: Arc::downgrade(abandoned) }
    }

    const fn is_admitted(&self) -> bool {
        matches!(self.verdict, Some(Verdict::Admitted { .. }))
    }

    /// The caller is there and takes it.
    pub(in crate::ledger) fn take(mut self) -> Option<Verdict> {
        self.verdict.take()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let (Some(Verdict::Admitted { .. }), Some(abandoned)) = (&self.verdict, self.abandoned.upgrade()) {
            abandoned.add(&self.team, self.id);
        }
    }
}
