//! Reservations of this worker whose deadlines are put off while their calls run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ledger::ReservationId;
use crate::maps::FastMap;
use crate::team::TeamId;

/// The open reservations of one worker. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Open(Arc<Mutex<FastMap<ReservationId, TeamId>>>);

/// An entry of the list, removed when dropped. It outlives the reservation where a settlement waits
/// for the store, and where an answer that is being read keeps its slots.
#[derive(Debug)]
pub struct Listed {
    id: ReservationId,
    team: TeamId,
    open: Open,
}

impl Open {
    /// Lists a reservation for as long as the result lives.
    #[must_use]
    pub fn list(&self, id: ReservationId, team: TeamId) -> Listed {
        self.lock().insert(id, team.clone());
        Listed { id, team, open: self.clone() }
    }

    /// The reservations, team by team.
    #[must_use]
    pub fn by_team(&self) -> HashMap<TeamId, Vec<ReservationId>> {
        let mut teams: HashMap<TeamId, Vec<ReservationId>> = HashMap::new();
        for (id, team) in &*self.lock() {
            teams.entry(team.clone()).or_default().push(*id);
        }
        teams
    }

    fn lock(&self) -> MutexGuard<'_, FastMap<ReservationId, TeamId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    /// The reservation.
    #[must_use]
    pub const fn id(&self) -> ReservationId {
        self.id
    }

    /// The team that pays.
    #[must_use]
    pub const fn team(&self) -> &TeamId {
        &self.team
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.open.lock().remove(&self.id);
    }
}
