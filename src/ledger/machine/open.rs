//! Open calls as they are shown.

use super::judgement;
use super::record::ReservationRecord;
use crate::credits::Credits;
use crate::ledger::{OpenCall, ReservationId};

/// The open call of a reservation; `None` when it has ended.
pub(in crate::ledger) fn open_call(
    id: ReservationId,
    record: ReservationRecord,
) -> Option<OpenCall> {
    Some(OpenCall {
        id,
        phase: record.phase()?,
        reserved: Credits::from_micros(record.price),
        admitted_at: judgement::at(record.admitted_at),
        summary: record.summary,
    })
}

#[cfg(test)]
mod tests {
    use super::super::memory_records::{Ledger, NOW};
    use super::*;
    use crate::ledger::Phase;

    /// An ended call is not open.
    #[test]
    fn an_open_call_is_listed_as_it_was_admitted() {
        let mut ledger = Ledger::new();
        let id = ledger.open(Phase::Dispatched, 7);
        let record = ledger.kept.calls.remove(&id).unwrap();
        let opened = open_call(id, record.clone()).unwrap();
        assert_eq!(
            (opened.id, opened.phase, opened.reserved),
            (id, Phase::Dispatched, Credits::from_micros(7))
        );
        assert_eq!((opened.admitted_at.as_microsecond(), &opened.summary), (NOW, &record.summary));
        assert_eq!(open_call(id, record.keeping_slots(NOW)), None);
    }
}
