//! One row per paid call: what was asked, what came back, what it cost, and in which windows.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::reservation::ReservationId;
use crate::credits::Credits;

/// How a call ended, for the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was answered, and charged by what came back.
    Charged,
    /// It was never sent: nothing is counted in any window.
    Released,
    /// It was sent and the upstream refused it: it costs no credits, and counts as a request.
    Refused,
    /// It was sent and nobody knows what became of it: charged by `pricing.on_unknown`.
    Unknown,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Charged, Self::Released, Self::Refused, Self::Unknown];

    /// The name in rows and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Charged => "charged",
            Self::Released => "released",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the call counts as one in the windows that limit requests: all that were sent do.
    #[must_use]
    pub const fn counts(self) -> bool {
        match self {
            Self::Charged | Self::Refused | Self::Unknown => true,
            Self::Released => false,
        }
    }

    /// Whether the call can cost credits.
    #[must_use]
    pub const fn costs(self) -> bool {
        match self {
            Self::Charged | Self::Unknown => true,
            Self::Released | Self::Refused => false,
        }
    }
}

/// What is known of a call when it is admitted. Kept with the reservation, so that a sweep by another replica can write
/// the row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallSummary {
    /// The request's id, as the caller sees it.
    pub request_id: String,
    /// The user.
    pub user: String,
    /// The credential's public id.
    pub credential: String,
    /// The gateway key's id, when one was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The model.
    pub model: String,
    /// Images asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub images: u64,
    /// Seconds of video asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seconds: u64,
    /// The version of the price table that priced it.
    #[serde(default)]
    pub price_version: String,
}

/// What is known of a call when it has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallResult {
    /// The status the caller was given.
    #[serde(default)]
    pub status: u16,
    /// The refusal's code, when it ended in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Images that came back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub images: u64,
    /// Milliseconds of video that came back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub video_ms: u64,
    /// Milliseconds spent waiting for the shared account.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub queue_ms: u64,
    /// Milliseconds the upstream took.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub upstream_ms: u64,
    /// When it was sent, in microseconds after it was admitted; `None` when it was not, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_us: Option<u64>,
    /// When the upstream had answered, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_us: Option<u64>,
}

// serde hands the field by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A settled call. The sum of a window's rows is what the window counts as spent (promise 3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The reservation it settles.
    pub id: ReservationId,
    /// How it ended.
    pub outcome: Outcome,
    /// What was reserved.
    pub reserved: Credits,
    /// What was charged.
    pub charged: Credits,
    /// The day, in the team's zone, whose window admitted it: `2026-11-22`.
    pub day: String,
    /// The month whose window admitted it: `2026-11`.
    pub month: String,
    /// When it was admitted.
    pub admitted_at: Timestamp,
    /// When it was settled.
    pub settled_at: Timestamp,
    /// What was asked.
    pub asked: Arc<CallSummary>,
    /// What came back; empty when a sweep settled it.
    pub came: CallResult,
}

impl Row {
    /// When it was sent, by the store's clock.
    #[must_use]
    pub fn sent_at(&self) -> Option<Timestamp> {
        self.came.sent_us.and_then(|micros| after(self.admitted_at, micros))
    }

    /// When the upstream had answered, by the store's clock.
    #[must_use]
    pub fn answered_at(&self) -> Option<Timestamp> {
        self.came.answered_us.and_then(|micros| after(self.admitted_at, micros))
    }
}

fn after(moment: Timestamp, micros: u64) -> Option<Timestamp> {
    moment.checked_add(Duration::from_micros(micros)).ok()
}

/// A stretch of a team's rows, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The rows asked for.
    pub rows: Vec<Row>,
    /// How many the team has in all.
    pub total: u64,
    /// Those that are gone although they were not too old.
    pub lost: LostRows,
}

/// The rows of a team that gave way because there were more than [`Retention::rows_max`].
///
/// [`Retention::rows_max`]: super::Retention::rows_max
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LostRows {
    /// How many of calls that cost something.
    pub paid: u64,
    /// How many of calls that cost nothing: these go first.
    pub free: u64,
    /// When the last of the one was settled: those that are left are younger.
    pub paid_until: Option<Timestamp>,
    /// When the last of the other was settled.
    pub free_until: Option<Timestamp>,
}

impl LostRows {
    /// How many, of whichever.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.paid + self.free
    }
}
