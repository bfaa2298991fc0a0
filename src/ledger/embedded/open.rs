//! What is told of calls that have not ended.

use super::judgement;
use super::record::ReservationRecord;
use super::records::Records;
use super::state::Machine;
use crate::credits::Credits;
use crate::ledger::{OPEN_CALLS_MAX, OpenCall, Phase, ReservationId};
use crate::team::TeamId;

impl<R: Records> Machine<'_, R> {
    pub(super) fn open_call(&self, team: &TeamId, id: ReservationId) -> Result<Option<OpenCall>, R::Fault> {
        Ok(self.records().reservation(team, id)?.map(|record| call(id, record)))
    }

    pub(super) fn open_calls(&self, team: &TeamId) -> Result<Vec<OpenCall>, R::Fault> {
        let newest = self.records().newest_open(team, OPEN_CALLS_MAX)?;
        Ok(newest.into_iter().map(|(id, record)| call(id, record)).collect())
    }
}

fn call(id: ReservationId, record: ReservationRecord) -> OpenCall {
    OpenCall {
        id,
        phase: match (record.dispatched, record.turned_back) {
            (true, _) => Phase::Dispatched,
            (false, true) => Phase::TurnedBack,
            (false, false) => Phase::Waiting,
        },
        reserved: Credits::from_micros(record.price),
        admitted_at: judgement::at(record.admitted_at),
        asked: record.asked,
    }
}
