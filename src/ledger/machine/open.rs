//! What is told of calls that have not ended.

use super::judgement;
use super::record::ReservationRecord;
use crate::credits::Credits;
use crate::ledger::{OpenCall, ReservationId};

/// The open call that a reservation holds credits for; `None`: it has ended.
pub(in crate::ledger) fn open_call(id: ReservationId, record: ReservationRecord) -> Option<OpenCall> {
    Some(OpenCall {
        id,
        phase: record.phase()?,
        reserved: Credits::from_micros(record.price),
        admitted_at: judgement::at(record.admitted_at),
        asked: record.asked,
    })
}
