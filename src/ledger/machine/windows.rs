//! Calendar windows of a scope, and what is counted in each.

use std::sync::Arc;

use litemap::LiteMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::team::limit::Unit;

/// How many windows of one period a scope keeps: the newest, and two for calls that began earlier
/// and are yet to be settled.
pub(super) const WINDOWS_KEPT: usize = 3;

/// The counts of a window, whether or not a limit reads them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
pub(in crate::ledger) struct Counts {
    requests: Spending,
    /// Amount in millionths.
    credits: Spending,
}

/// What is spent, and what open reservations hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Spending {
    pub(in crate::ledger) spent: u64,
    pub(in crate::ledger) reserved: u64,
}

impl From<[u64; 4]> for Counts {
    fn from(
        [requests_spent, requests_reserved, credits_spent, credits_reserved]: [u64; 4],
    ) -> Self {
        Self {
            requests: Spending { spent: requests_spent, reserved: requests_reserved },
            credits: Spending { spent: credits_spent, reserved: credits_reserved },
        }
    }
}

impl From<Counts> for [u64; 4] {
    fn from(Counts { requests, credits }: Counts) -> Self {
        [requests.spent, requests.reserved, credits.spent, credits.reserved]
    }
}

impl Counts {
    /// The count in this unit.
    pub(in crate::ledger) const fn of(&self, unit: Unit) -> Spending {
        match unit {
            Unit::Requests => self.requests,
            Unit::Credits => self.credits,
        }
    }

    pub(super) fn reserve(&mut self, price: u64) {
        self.requests.reserved += 1;
        self.credits.reserved += price;
    }

    pub(super) fn settle(&mut self, end: &End) {
        self.requests.reserved = self.requests.reserved.saturating_sub(1);
        self.requests.spent += u64::from(end.counted);
        self.credits.reserved = self.credits.reserved.saturating_sub(end.price);
        self.credits.spent += end.charged;
    }
}

/// How a settlement changes the windows that admitted the reservation.
pub(in crate::ledger) struct End {
    /// The reserved price, in millionths.
    pub(in crate::ledger) price: u64,
    /// The part of it that is charged, in millionths.
    pub(in crate::ledger) charged: u64,
    /// Whether it counts as a call.
    pub(in crate::ledger) counted: bool,
}

/// Names of the day and the month that admit a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ledger) struct Windows {
    pub(in crate::ledger) day: String,
    pub(in crate::ledger) month: String,
}

impl Windows {
    /// A day and its month.
    pub(in crate::ledger) fn of_day(day: String) -> Self {
        Self { month: month_of(&day).to_owned(), day }
    }
}

/// The month of a day. Days are written year first, so a day's name begins with its month's.
pub(super) fn month_of(day: &str) -> &str {
    day.get(..7).unwrap_or_default()
}

/// Counts by the name of their window. Names sort as their times do.
pub(super) type WindowCounts = LiteMap<Arc<str>, Counts>;

/// The window of this name, opened if needed; the oldest others are dropped.
pub(super) fn window<'a>(windows: &'a mut WindowCounts, name: &str) -> &'a mut Counts {
    if !windows.contains_key(name) {
        keep_newest(windows, WINDOWS_KEPT - 1);
    }
    windows.entry(name.into()).or_default()
}

/// Drops the oldest windows beyond this number.
pub(super) fn keep_newest(windows: &mut WindowCounts, most: usize) {
    let mut gone = windows.len().saturating_sub(most);
    windows.retain(|_, _| {
        let stays = gone == 0;
        gone = gone.saturating_sub(1);
        stays
    });
}

/// Serializes windows as an object, also when there are none: by itself an empty `LiteMap` becomes
/// a list.
pub(super) fn by_name<S: Serializer>(
    windows: &WindowCounts,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(windows.iter())
}
