//! Limits: what may be spent per second, day, month, in all, or at the same time.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::share::Share;

/// The kinds of limit there are. Closed: every match over it says what it means for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LimitKind {
    /// Token bucket, refilled per second.
    RequestsPerSecond,
    /// Token bucket, refilled per minute.
    RequestsPerMinute,
    /// Token bucket, refilled per hour.
    RequestsPerHour,
    /// Calls in a calendar day of the team's time zone.
    RequestsPerDay,
    /// Calls in a calendar month of the team's time zone.
    RequestsPerMonth,
    /// Credits in a calendar day of the team's time zone.
    CreditsPerDay,
    /// Credits in a calendar month of the team's time zone.
    CreditsPerMonth,
    /// Prepaid credits: no window ever gives them back.
    CreditsTotal,
    /// Calls in flight at the same time.
    Concurrent,
}

/// How a kind of limit is counted in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A bucket of tokens, refilled evenly over the period.
    Bucket(Duration),
    /// Calls or credits within a window.
    Window(Period, Unit),
    /// Slots, given back when the call ends.
    Slots,
}

/// The stretch of time a window covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
    /// All time.
    Total,
}

/// What a window counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Calls: each counts one.
    Requests,
    /// Millionths of a credit.
    Credits,
}

impl LimitKind {
    /// Every kind, in the order in which limits are listed to people.
    pub const ALL: [Self; 9] = [
        Self::RequestsPerSecond,
        Self::RequestsPerMinute,
        Self::RequestsPerHour,
        Self::RequestsPerDay,
        Self::RequestsPerMonth,
        Self::CreditsPerDay,
        Self::CreditsPerMonth,
        Self::CreditsTotal,
        Self::Concurrent,
    ];

    /// The name in the configuration, the metrics and the refusals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests_per_second",
            Self::RequestsPerMinute => "requests_per_minute",
            Self::RequestsPerHour => "requests_per_hour",
            Self::RequestsPerDay => "requests_per_day",
            Self::RequestsPerMonth => "requests_per_month",
            Self::CreditsPerDay => "credits_per_day",
            Self::CreditsPerMonth => "credits_per_month",
            Self::CreditsTotal => "credits_total",
            Self::Concurrent => "concurrent",
        }
    }

    /// How it is counted.
    #[must_use]
    pub const fn shape(self) -> Shape {
        match self {
            Self::RequestsPerSecond => Shape::Bucket(Duration::from_secs(1)),
            Self::RequestsPerMinute => Shape::Bucket(Duration::from_secs(60)),
            Self::RequestsPerHour => Shape::Bucket(Duration::from_secs(3600)),
            Self::RequestsPerDay => Shape::Window(Period::Day, Unit::Requests),
            Self::RequestsPerMonth => Shape::Window(Period::Month, Unit::Requests),
            Self::CreditsPerDay => Shape::Window(Period::Day, Unit::Credits),
            Self::CreditsPerMonth => Shape::Window(Period::Month, Unit::Credits),
            Self::CreditsTotal => Shape::Window(Period::Total, Unit::Credits),
            Self::Concurrent => Shape::Slots,
        }
    }
}

impl LimitKind {
    /// Whether it counts calls over time, as the rate-limit headers can say. Slots count those of a moment, budgets
    /// credits.
    #[must_use]
    pub const fn counts_requests(self) -> bool {
        match self.shape() {
            Shape::Bucket(_) | Shape::Window(Period::Day | Period::Month, Unit::Requests) => true,
            Shape::Window(Period::Total, Unit::Requests) | Shape::Window(_, Unit::Credits) | Shape::Slots => false,
        }
    }
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for LimitKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it limits.
    pub kind: LimitKind,
    /// How much: calls, slots, or millionths of a credit. 0 lets nothing through.
    pub max: u64,
    /// Buckets only: how many calls may come at once (at least 1 unless `max` is 0). Others: equal to `max`.
    pub burst: u64,
    /// Counts and reports, but refuses nobody.
    pub shadow: bool,
    /// Budgets only: from which share on it is told of that it is nearly used up.
    pub soft: Option<Share>,
}

impl Limit {
    /// The most calls a bucket may have, and the most slots: a bucket's level is calls times the microseconds of its
    /// period, and an hour of so many stays below 2^53, up to which the ledger's scripts count exactly.
    pub const REQUESTS_MAX: u64 = 1_000_000;
    /// The most calls a limit of a day or a month may have: only counted, so far below 2^53 as well.
    pub const QUOTA_MAX: u64 = 1_000_000_000;

    /// A limit that refuses, with a burst as large as the limit.
    #[must_use]
    pub const fn new(kind: LimitKind, max: u64) -> Self {
        Self { kind, max, burst: max, shadow: false, soft: None }
    }
}

/// The limits of one level: at most one of each kind, in the order of [`LimitKind::ALL`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(Vec<Limit>);

impl Limits {
    /// Takes limits; of several of one kind the last stands.
    #[must_use]
    pub fn new(limits: impl IntoIterator<Item = Limit>) -> Self {
        let mut kept: Vec<Limit> = Vec::new();
        for limit in limits {
            kept.retain(|earlier| earlier.kind != limit.kind);
            kept.push(limit);
        }
        kept.sort_by_key(|limit| limit.kind);
        Self(kept)
    }

    /// The limits, one of a kind, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Limit> {
        self.0.iter()
    }

    /// The limit of this kind, if there is one.
    #[must_use]
    pub fn get(&self, kind: LimitKind) -> Option<&Limit> {
        self.0.iter().find(|limit| limit.kind == kind)
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
