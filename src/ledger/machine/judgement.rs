//! Judges one limit by what one scope has used: its status, and whether a call passes.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::record::ScopeRecord;
use super::windows::Windows;
use crate::calendar::Calendar;
use crate::credits::Credits;
use crate::ledger::topup::with_top_ups;
use crate::ledger::{LimitStatus, Scope};
use crate::team::Limit;
use crate::team::limit::{Period, Shape, Unit};

/// When to retry after no slot was free: it cannot be known when one becomes free.
const SLOT_WAIT_MICROS: i64 = 1_000_000;

/// Whether a limit lets a call pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Passes {
    /// Lets the call pass.
    Now,
    /// Refuses until this time.
    At(Timestamp),
    /// Refuses at any time.
    Never,
}

/// A limit's status before a call, and whether the call passes.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Judgement {
    pub(in crate::ledger) status: LimitStatus,
    pub(in crate::ledger) passes: Passes,
    /// A shadow limit: it refuses nobody.
    pub(in crate::ledger) shadow: bool,
}

impl Judgement {
    /// When the call could pass a limit that refuses it; `None` when it need not wait.
    fn refusal(&self) -> Option<Option<Timestamp>> {
        match (self.shadow, self.passes) {
            (true, _) | (false, Passes::Now) => None,
            (false, Passes::At(moment)) => Some(Some(moment)),
            (false, Passes::Never) => Some(None),
        }
    }

    /// Marks a limit status if this call would have passed a shadow limit.
    pub(in crate::ledger) fn mark(&self, status: &mut LimitStatus) {
        status.shadow_refused = self.shadow && self.passes != Passes::Now;
    }
}

/// The limit that refuses with the longest wait, the first of equals, and when the call could pass
/// it.
pub(in crate::ledger) fn binding(judgements: &[Judgement]) -> Option<(usize, Option<Timestamp>)> {
    let mut binding: Option<(usize, Option<Timestamp>)> = None;
    for (index, retry_at) in
        judgements.iter().enumerate().filter_map(|(index, j)| Some((index, j.refusal()?)))
    {
        let longer = match (binding, retry_at) {
            (None, _) => true,
            (Some((_, None)), _) => false,
            (Some((_, Some(_))), None) => true,
            (Some((_, Some(longest))), Some(this)) => this > longest,
        };
        if longer {
            binding = Some((index, retry_at));
        }
    }
    binding
}

/// A moment from which limits are judged.
pub(in crate::ledger) struct Moment {
    pub(in crate::ledger) now: Timestamp,
    pub(in crate::ledger) calendar: Arc<Calendar>,
    pub(in crate::ledger) windows: Windows,
}

impl Moment {
    pub(in crate::ledger) fn new(now: Timestamp, calendar: impl Into<Arc<Calendar>>) -> Self {
        let calendar = calendar.into();
        let windows =
            Windows { day: calendar.day.name.clone(), month: calendar.month.name.clone() };
        Self { now, calendar, windows }
    }

    /// Judges a call of this price by one limit of one scope.
    pub(in crate::ledger) fn judge(
        &self,
        scope: &Scope,
        limit: &Limit,
        used: &ScopeRecord,
        price: Credits,
    ) -> Judgement {
        let status = LimitStatus {
            scope: scope.clone(),
            kind: limit.kind,
            max: limit.max,
            topped_up: 0,
            used: 0,
            reserved: 0,
            reset_at: None,
            shadow: limit.shadow,
            shadow_refused: false,
        };
        let (status, passes) = match limit.kind.shape() {
            Shape::Bucket(period) => self.bucket(limit, micros(period), used, status),
            Shape::Window(period, unit) => self.window(limit, (period, unit), used, price, status),
            Shape::Slots => self.slots(limit, used, status),
        };
        Judgement { status, passes, shadow: limit.shadow }
    }

    fn bucket(
        &self,
        limit: &Limit,
        period: u64,
        used: &ScopeRecord,
        status: LimitStatus,
    ) -> (LimitStatus, Passes) {
        let drained = used.bucket(period).drained(limit.max, self.now.as_microsecond());
        let passes = match drained.fits(period, limit.burst) {
            Ok(()) => Passes::Now,
            Err(Some(micros)) => Passes::At(at(micros)),
            Err(None) => Passes::Never,
        };
        let reset_at = drained.full_at().map(at);
        (LimitStatus { max: limit.burst, used: drained.used(period), reset_at, ..status }, passes)
    }

    fn window(
        &self,
        limit: &Limit,
        (period, unit): (Period, Unit),
        used: &ScopeRecord,
        price: Credits,
        status: LimitStatus,
    ) -> (LimitStatus, Passes) {
        let end = match period {
            Period::Day => Some(self.calendar.day.end),
            Period::Month => Some(self.calendar.month.end),
            Period::Total => None,
        };
        let amount = match unit {
            Unit::Requests => 1,
            Unit::Credits => price.micros(),
        };
        let held = used.counts(period, &self.windows).of(unit);
        let after = held.spent.saturating_add(held.reserved).saturating_add(amount);
        let topped_up = match period {
            Period::Day | Period::Month => 0,
            Period::Total => used.topped_up(),
        };
        let max = with_top_ups(limit.max, topped_up);
        let passes = if max > 0 && after <= max {
            Passes::Now
        } else if max == 0 || amount > max {
            Passes::Never
        } else {
            end.map_or(Passes::Never, Passes::At)
        };
        (
            LimitStatus {
                max,
                topped_up,
                used: held.spent,
                reserved: held.reserved,
                reset_at: end,
                ..status
            },
            passes,
        )
    }

    fn slots(
        &self,
        limit: &Limit,
        used: &ScopeRecord,
        status: LimitStatus,
    ) -> (LimitStatus, Passes) {
        let open = used.slots();
        let passes = if open < limit.max {
            Passes::Now
        } else if limit.max == 0 {
            Passes::Never
        } else {
            Passes::At(at(self.now.as_microsecond().saturating_add(SLOT_WAIT_MICROS)))
        };
        (LimitStatus { reserved: open, ..status }, passes)
    }
}

/// A bucket's period in microseconds.
pub(in crate::ledger) fn micros(period: Duration) -> u64 {
    u64::try_from(period.as_micros()).unwrap_or(u64::MAX)
}

/// A moment from microseconds of Unix time; what is out of range becomes the last moment.
pub(in crate::ledger) fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[path = "judgement_tests.rs"]
mod tests;
