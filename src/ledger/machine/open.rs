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

#[cfg(test)]
mod tests {
    use super::super::kept::{Ledger, NOW};
    use super::*;
    use crate::ledger::Phase;

    #[test]
    fn an_open_call_is_told_of_as_it_was_admitted_and_one_that_has_ended_is_not() {
        let mut ledger = Ledger::new();
        let id = ledger.open(Phase::Dispatched, 7);
        let record = ledger.kept.calls.remove(&id).unwrap();
        let told = open_call(id, record.clone()).unwrap();
        assert_eq!((told.id, told.phase, told.reserved), (id, Phase::Dispatched, Credits::from_micros(7)));
        assert_eq!((told.admitted_at.as_microsecond(), &told.asked), (NOW, &record.asked));
        assert_eq!(open_call(id, record.keeping_slots(NOW)), None);
    }
}
