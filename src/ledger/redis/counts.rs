//! The highest counts that this process knows of one level: what was told of it, and its own calls that ended since.

use std::sync::Arc;

use jiff::Timestamp;

use super::keys::scope_name;
use super::loss::Point;
use super::told::Count;
use crate::ledger::calendar::Calendar;
use crate::ledger::{Level, Scope};
use crate::team::LimitKind;
use crate::team::limit::{Period, Shape, Unit};

/// The highest counts known of one level, each in its own window.
pub(super) struct Counts {
    calendar: Arc<Calendar>,
    /// The last change that what was told of them had in it.
    seen_at: Point,
    /// By kind. Windows: what was spent; buckets: the level, and when it was that, in microseconds of Unix time.
    of_kind: [Option<(u64, u64)>; LimitKind::ALL.len()],
}

/// A count below which the store's must not be: a scope's name, a field of its, and the two numbers that stand there.
pub(super) struct Floor {
    pub(super) scope: String,
    pub(super) field: String,
    pub(super) calls: u64,
    pub(super) credits: u64,
}

impl Counts {
    pub(super) fn new(calendar: &Arc<Calendar>) -> Self {
        let calendar = Arc::clone(calendar);
        Self { calendar, seen_at: Point::default(), of_kind: [None; LimitKind::ALL.len()] }
    }

    /// Notes what was told of each limit of the level, when, and after which change. Returns how much was topped up.
    pub(super) fn told(
        &mut self,
        level: &Level,
        calendar: &Arc<Calendar>,
        told: &[Count],
        (at, now): (Timestamp, Point),
    ) -> u64 {
        self.move_to(calendar);
        self.seen_at = self.seen_at.max(now);
        let mut added = 0;
        for (limit, Count { first, topped_up, .. }) in level.limits.iter().zip(told) {
            added = (*topped_up).max(added);
            let count = &mut self.of_kind[limit.kind as usize];
            match limit.kind.shape() {
                Shape::Bucket(_) => *count = Some((*first, u64::try_from(at.as_microsecond()).unwrap_or(0))),
                Shape::Window(..) => *count = Some((count.map_or(0, |(before, _)| before).max(*first), 0)),
                Shape::Slots => {}
            }
        }
        added
    }

    /// A new day or month counts from nothing.
    fn move_to(&mut self, calendar: &Arc<Calendar>) {
        if Arc::ptr_eq(&self.calendar, calendar) || self.calendar.day.name >= calendar.day.name {
            return;
        }
        let same_month = self.calendar.month.name == calendar.month.name;
        for kind in LimitKind::ALL {
            match kind.shape() {
                Shape::Window(Period::Day, _) => self.of_kind[kind as usize] = None,
                Shape::Window(Period::Month, _) if !same_month => self.of_kind[kind as usize] = None,
                Shape::Window(Period::Month | Period::Total, _) | Shape::Bucket(_) | Shape::Slots => {}
            }
        }
        self.calendar = Arc::clone(calendar);
    }

    /// Adds a call of this process to the windows that admitted it, unless what was told of them has it already.
    pub(super) fn add(&mut self, admitted_in: &Calendar, micros: u64, ended: Point) {
        if self.seen_at >= ended {
            return;
        }
        for kind in LimitKind::ALL {
            let Shape::Window(period, unit) = kind.shape() else { continue };
            let is_open = match period {
                Period::Day => admitted_in.day.name == self.calendar.day.name,
                Period::Month => admitted_in.month.name == self.calendar.month.name,
                Period::Total => true,
            };
            if let Some((spent, _)) = self.of_kind[kind as usize].as_mut().filter(|_| is_open) {
                *spent += if unit == Unit::Requests { 1 } else { micros };
            }
        }
    }

    pub(super) fn floors(&self, scope: &Scope) -> impl Iterator<Item = Floor> {
        let seen = LimitKind::ALL.into_iter().filter_map(|kind| Some((kind, self.of_kind[kind as usize]?)));
        seen.filter_map(|(kind, (first, second))| {
            let (field, calls, credits) = match kind.shape() {
                Shape::Bucket(_) => (bucket_field(kind)?.to_owned(), first, second),
                Shape::Window(period, Unit::Requests) => (self.field(period), first, 0),
                Shape::Window(period, Unit::Credits) => (self.field(period), 0, first),
                Shape::Slots => return None,
            };
            Some(Floor { scope: scope_name(scope), field, calls, credits })
        })
    }

    /// The name of a window, as in the script.
    fn field(&self, period: Period) -> String {
        match period {
            Period::Day => format!("d:{}", self.calendar.day.name),
            Period::Month => format!("m:{}", self.calendar.month.name),
            Period::Total => "t".to_owned(),
        }
    }
}

/// The name of a bucket, as in the script.
const fn bucket_field(kind: LimitKind) -> Option<&'static str> {
    match kind {
        LimitKind::RequestsPerSecond => Some("rs"),
        LimitKind::RequestsPerMinute => Some("rm"),
        LimitKind::RequestsPerHour => Some("rh"),
        LimitKind::RequestsPerDay
        | LimitKind::RequestsPerMonth
        | LimitKind::CreditsPerDay
        | LimitKind::CreditsPerMonth
        | LimitKind::CreditsTotal
        | LimitKind::Concurrent => None,
    }
}
