//! Index of calls with a stored outcome: by team and by request id, newest first, since later ids
//! sort later.

use std::collections::BTreeSet;

use crate::idempotency::LISTED_MAX;
use crate::ledger::ReservationId;
use crate::request::RequestId;
use crate::team::TeamId;

/// Index with one entry for each of the store's, so that it is bounded as the store is.
#[derive(Default)]
pub(super) struct Index {
    of_team: BTreeSet<(TeamId, ReservationId)>,
    of_request: BTreeSet<(TeamId, RequestId, ReservationId)>,
}

impl Index {
    pub(super) fn add(&mut self, team: &TeamId, carried: &RequestId, id: ReservationId) {
        self.of_team.insert((team.clone(), id));
        self.of_request.insert((team.clone(), carried.clone(), id));
    }

    pub(super) fn remove(&mut self, team: &TeamId, carried: &RequestId, id: ReservationId) {
        self.of_team.remove(&(team.clone(), id));
        self.of_request.remove(&(team.clone(), carried.clone(), id));
    }

    /// The newest of a team's calls, or of those with this request id.
    pub(super) fn newest(&self, team: &TeamId, of: Option<&RequestId>) -> Vec<ReservationId> {
        let (first, last) = (ReservationId::MIN, ReservationId::MAX);
        match of {
            None => {
                let calls = self.of_team.range((team.clone(), first)..=(team.clone(), last));
                calls.rev().take(LISTED_MAX).map(|(_, id)| *id).collect()
            }
            Some(of) => {
                let calls = self
                    .of_request
                    .range((team.clone(), of.clone(), first)..=(team.clone(), of.clone(), last));
                calls.rev().take(LISTED_MAX).map(|(_, _, id)| *id).collect()
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        (self.of_team.len(), self.of_request.len())
    }
}
