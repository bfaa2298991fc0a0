//! Limits on calls and credits: per second to month, in total, or at the same time.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::share::Share;

/// Kinds of limit. Closed, so that every match handles each.
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

/// How the ledger counts a kind of limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A bucket of tokens, refilled evenly over the period.
    Bucket(Duration),
    /// Calls or credits within a window.
    Window(Period, Unit),
    /// Slots, given back when the call ends.
    Slots,
}

/// Period of a window.
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
    /// Every kind, in the order in which people see them.
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

    /// Name in the configuration, the metrics and the refusals.
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

    /// How the ledger counts it.
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
    /// Whether it counts calls over time, as the rate-limit headers express it. Slots count open
    /// calls, budgets count credits.
    #[must_use]
    pub const fn counts_requests(self) -> bool {
        match self.shape() {
            Shape::Bucket(_) | Shape::Window(Period::Day | Period::Month, Unit::Requests) => true,
            Shape::Window(Period::Total, Unit::Requests)
            | Shape::Window(_, Unit::Credits)
            | Shape::Slots => false,
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
    /// The kind.
    pub kind: LimitKind,
    /// Calls, slots, or millionths of a credit. 0 refuses everything.
    pub max: u64,
    /// Buckets only: calls that may come at once (at least 1 unless `max` is 0). Others: equal to
    /// `max`.
    pub burst: u64,
    /// Counts and reports, but refuses nothing.
    pub shadow: bool,
    /// Budgets only: the used share from which a warning is sent.
    pub soft: Option<Share>,
}

impl Limit {
    /// Largest bucket and most slots. A bucket's level is calls times the microseconds of its
    /// period; an hour of this many stays below 2^53, up to which the ledger's scripts count
    /// exactly.
    pub const REQUESTS_MAX: u64 = 1_000_000;
    /// Most calls in a day or a month: these are only counted, so far below 2^53 too.
    pub const QUOTA_MAX: u64 = 1_000_000_000;

    /// A limit that refuses, with `burst` equal to `max`.
    #[must_use]
    pub const fn new(kind: LimitKind, max: u64) -> Self {
        Self { kind, max, burst: max, shadow: false, soft: None }
    }
}

/// Limits of one level: at most one of each kind, in the order of [`LimitKind::ALL`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(Vec<Limit>);

impl Limits {
    /// Takes limits; of several of one kind the last counts.
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

    /// The limits in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Limit> {
        self.0.iter()
    }

    /// The limit of this kind.
    #[must_use]
    pub fn get(&self, kind: LimitKind) -> Option<&Limit> {
        self.0.iter().find(|limit| limit.kind == kind)
    }

    /// Whether there is no limit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
