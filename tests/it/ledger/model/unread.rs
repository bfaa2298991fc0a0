//! Calls that have ended and keep their slots, while their answers are being read.

use jiff::Timestamp;
use moongate::ledger::ReservationId;
use moongate::team::TeamId;

use super::{Call, Model};

impl Call {
    pub(super) const fn holds_slots(&self) -> bool {
        self.row.is_none() || self.is_unread
    }
}

impl Model {
    pub(crate) fn release_slots(&mut self, team: &TeamId, id: ReservationId) {
        if let Some(call) = self.call(team, id, |call| call.is_unread) {
            call.is_unread = false;
        }
    }

    /// Frees the slots of unread answers that were not renewed in time.
    pub(super) fn free_slots(&mut self, team: &TeamId, now: Timestamp) {
        for call in self
            .calls
            .iter_mut()
            .filter(|call| call.admission.team == *team && call.deadline <= now)
        {
            call.is_unread = false;
        }
    }
}
