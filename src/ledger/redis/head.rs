//! What every batch says first: the rules, the day, what its caller has seen of the team, and in what spirit it is sent.

use std::time::Duration;

use super::loss::Point;
use super::operation::Operation;
use super::packed::Packed;
use super::settings::Settings;
use crate::ledger::calendar::Calendar;
use crate::ledger::usage::CELLS_MAX;
use crate::ledger::{OnLoss, OnUnknown, Retention};

/// In what spirit a batch is sent; the numbers are the script's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// As always.
    Usual = 0,
    /// A team of which nothing is known is new.
    MayMake = 1,
    /// A team of which nothing is known was lost.
    MustHave = 2,
    /// Brings what was lost.
    Redoing = 3,
    /// An operator accepts what is left after a loss.
    Accepting = 4,
    /// Asks whether keys that are not there should be.
    Looking = 5,
}

impl Mode {
    /// The mode in which operations are sent at first.
    pub(super) fn of(operations: &[Operation]) -> Self {
        let accepts = operations.iter().any(|operation| matches!(operation, Operation::Accept { .. }));
        if accepts { Self::Accepting } else { Self::Usual }
    }

    /// Whether a team of which nothing is known is made.
    pub(super) const fn makes(self) -> bool {
        matches!(self, Self::MayMake | Self::Accepting)
    }
}

/// What is said about the caller.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// The latest that was seen of the team.
    pub(super) known: Point,
    pub(super) mode: Mode,
    /// Given by tests, in microseconds.
    pub(super) now: Option<u64>,
    /// Until when the batch may end what was left behind, in microseconds of the store's time. One that lay in a store
    /// which stood still comes before those who are alive could put off their deadlines.
    pub(super) sweep_until: u64,
    /// Whose mark says that the store was not emptied since a team of which it has nothing was found to be new; the number of
    /// a handle.
    pub(super) voucher: u64,
}

/// Writes what comes before the ids: `counts` says how many ids, levels and operations follow.
pub(super) fn write_head(
    packed: &mut Packed,
    head: Head,
    settings: &Settings,
    sweep_most: u64,
    (calendar, day): (Option<&Calendar>, &str),
    counts: [usize; 3],
) {
    packed.number(head.now.unwrap_or(0));
    packed.number(micros(settings.reservation_ttl));
    packed.number(u64::from(settings.on_unknown == OnUnknown::Charge));
    packed.number(micros(settings.retention.rows));
    packed.number(settings.retention.rows_max.max(Retention::ROWS_LEAST));
    packed.number(micros(settings.retention.usage));
    packed.number(CELLS_MAX);
    packed.number(sweep_most);
    let moment = |timestamp: jiff::Timestamp| u64::try_from(timestamp.as_microsecond()).unwrap_or(0);
    packed.number(calendar.map_or(0, |calendar| moment(calendar.day.start)));
    packed.number(calendar.map_or(0, |calendar| moment(calendar.day.end)));
    packed.number(calendar.map_or(0, |calendar| moment(calendar.month.end)));
    packed.text(day);
    for count in counts {
        packed.count(count);
    }
    packed.number(head.known.epoch);
    packed.number(head.known.seq);
    packed.number(head.mode as u64);
    packed.number(u64::from(settings.on_loss == OnLoss::Hold));
    packed.number(micros(settings.gather()));
    packed.number(head.sweep_until);
    packed.number(if head.mode == Mode::MayMake { head.voucher } else { 0 });
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
