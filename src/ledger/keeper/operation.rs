//! One operation on a team, and the channel for its answer.

use std::sync::{Arc, Weak};

use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use super::abandoned::Abandoned;
use crate::ledger::{
    Admission, BudgetSnapshot, Level, Outage, Phase, ReservationId, Settled, Settlement,
    SnapshotQuery, Swept, TopUp, ToppedUp, Verdict,
};
use crate::team::TeamId;

/// The channel for an answer.
pub(in crate::ledger) type Response<T> = oneshot::Sender<Result<T, Outage>>;

/// An operation and the channel for its answer.
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
    /// The answer of a settled call was read, or given up.
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
    Snapshot {
        query: Box<SnapshotQuery>,
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
    /// Releases an admission whose caller has gone; if the admission is still under way, keeps it
    /// from being made.
    Abandon {
        id: ReservationId,
        response: Response<()>,
    },
}

/// The answer to an operation.
pub(in crate::ledger) enum Answer {
    Verdict(Verdict),
    /// Whether a marked call is still open.
    IsOpen(bool),
    Settled(Settled),
    Swept(Swept),
    Snapshot(BudgetSnapshot),
    ToppedUp(ToppedUp),
    Done,
}

impl Operation {
    /// Whether the caller has gone, so that the operation need not be sent.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Admit { response, .. } => response.is_closed(),
            Self::Quote { response, .. } => response.is_closed(),
            Self::Dispatch { response, .. } | Self::Recall { response, .. } => response.is_closed(),
            // Settlements and releases are final, so a queued one is carried out in any case.
            Self::Settle { .. }
            | Self::ReleaseSlots { .. }
            | Self::Abandon { .. }
            | Self::Accept { .. } => false,
            Self::TopUp { response, .. } => response.is_closed(),
            Self::Renew { response, .. } => response.is_closed(),
            Self::Sweep { response } => response.is_closed(),
            Self::Snapshot { response, .. } => response.is_closed(),
        }
    }

    /// The operation's share of the size of a batch.
    pub(super) fn weight(&self) -> usize {
        self.renews().len().max(1)
    }

    /// The admission to reserve or quote, and whether it reserves.
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
            | Self::Snapshot { .. }
            | Self::TopUp { .. }
            | Self::Accept { .. }
            | Self::Abandon { .. } => None,
        }
    }

    /// The call to mark, and its new phase.
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
            | Self::Snapshot { .. }
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
            | Self::Snapshot { .. }
            | Self::TopUp { .. }
            | Self::Accept { .. }
            | Self::Abandon { .. } => &[],
        }
    }

    /// The levels whose limits it reads.
    pub(super) fn levels(&self) -> &[Level] {
        if let Self::Snapshot { query, .. } = self {
            return &query.levels;
        }
        self.admission().map_or(&[], |(admission, _)| &admission.levels)
    }

    /// The time zone of the days that it counts in.
    pub(super) fn time_zone(&self) -> Option<&TimeZone> {
        if let Self::Snapshot { query, .. } = self {
            return Some(&query.time_zone);
        }
        self.admission().map(|(admission, _)| &admission.time_zone)
    }

    /// Answers with an outage.
    pub(in crate::ledger) fn fail(self, outage: Outage) {
        // A caller that has gone needs no answer.
        let _ = match self {
            Self::Admit { response, .. } => response.send(Err(outage)).is_ok(),
            Self::Quote { response, .. } => response.send(Err(outage)).is_ok(),
            Self::Dispatch { response, .. } | Self::Recall { response, .. } => {
                response.send(Err(outage)).is_ok()
            }
            Self::Settle { response, .. } => response.send(Err(outage)).is_ok(),
            Self::Renew { response, .. }
            | Self::ReleaseSlots { response, .. }
            | Self::Abandon { response, .. }
            | Self::Accept { response } => response.send(Err(outage)).is_ok(),
            Self::Sweep { response } => response.send(Err(outage)).is_ok(),
            Self::Snapshot { response, .. } => response.send(Err(outage)).is_ok(),
            Self::TopUp { response, .. } => response.send(Err(outage)).is_ok(),
        };
    }

    /// Sends the answer. An admission is abandoned if its caller has gone, or fails if `void` says
    /// that it does not stand.
    pub(super) fn answer(
        self,
        answer: Answer,
        team: &TeamId,
        abandoned: &Arc<Abandoned>,
        void: Option<&Outage>,
    ) {
        let _ = match (self, answer) {
            (Self::Admit { admission, response }, Answer::Verdict(verdict)) => {
                let claim = Claim::new(verdict, team.clone(), admission.id, abandoned);
                let claim = match void {
                    Some(outage) if claim.is_admitted() => Err(outage.clone()),
                    Some(_) | None => Ok(claim),
                };
                response.send(claim).is_ok()
            }
            (Self::Quote { response, .. }, Answer::Verdict(verdict)) => {
                response.send(Ok(verdict)).is_ok()
            }
            (
                Self::Dispatch { response, .. } | Self::Recall { response, .. },
                Answer::IsOpen(open),
            ) => response.send(Ok(open)).is_ok(),
            (Self::Settle { response, .. }, Answer::Settled(settled)) => {
                response.send(Ok(settled)).is_ok()
            }
            (Self::Sweep { response }, Answer::Swept(swept)) => response.send(Ok(swept)).is_ok(),
            (Self::Snapshot { response, .. }, Answer::Snapshot(snapshot)) => {
                response.send(Ok(snapshot)).is_ok()
            }
            (Self::TopUp { response, .. }, Answer::ToppedUp(topped_up)) => {
                response.send(Ok(topped_up)).is_ok()
            }
            (
                Self::Renew { response, .. }
                | Self::ReleaseSlots { response, .. }
                | Self::Accept { response },
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

/// A verdict on its way to the caller. If the caller has gone, the admission is abandoned.
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

    /// Hands the verdict to the caller, who is responsible for it from here on.
    pub(in crate::ledger) fn take(mut self) -> Option<Verdict> {
        self.verdict.take()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let (Some(Verdict::Admitted { .. }), Some(abandoned)) =
            (&self.verdict, self.abandoned.upgrade())
        {
            abandoned.add(&self.team, self.id);
        }
    }
}

#[cfg(test)]
#[path = "operation_tests.rs"]
mod tests;
