//! Row of a paid call: request, result, cost, and the windows it was counted in.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ReservationId;
use crate::credits::Credits;

/// Outcome of a call, as it is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered, and charged by what was delivered.
    Charged,
    /// Not sent: counted in no window.
    Released,
    /// Sent and the upstream refused it: costs no credits, but counts as a request.
    Refused,
    /// Sent and its outcome is unknown: charged by `pricing.on_unknown`.
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

    /// Whether the call counts in request limits: every call that was sent does.
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

/// Facts of a call at its admission. Stored in the reservation, so that another replica's sweep can
/// write the row.
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
    /// Images ordered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub images: u64,
    /// Seconds of video ordered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seconds: u64,
    /// Version of the price table.
    #[serde(default)]
    pub price_version: String,
}

/// Result of a call that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallResult {
    /// Status of the answer.
    #[serde(default)]
    pub status: u16,
    /// Code of the refusal it ended in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Images delivered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub images: u64,
    /// Milliseconds of video delivered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub video_ms: u64,
    /// Milliseconds in the queue for the shared account.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub queue_ms: u64,
    /// Milliseconds at the upstream.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub upstream_ms: u64,
    /// When it was sent, in microseconds after its admission; `None` when it was not, or it is
    /// unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_us: Option<u64>,
    /// When the upstream had answered, in the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_us: Option<u64>,
}

// serde passes the field by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A settled call. The rows of a window add up to what it counts as used (promise 3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The reservation it settles.
    pub id: ReservationId,
    /// The outcome.
    pub outcome: Outcome,
    /// The reserved price.
    pub reserved: Credits,
    /// The cost.
    pub charged: Credits,
    /// Day in the team's time zone by which it was counted: `2026-11-22`.
    pub day: String,
    /// Month by which it was counted: `2026-11`.
    pub month: String,
    /// When it was admitted.
    pub admitted_at: Timestamp,
    /// When it was settled.
    pub settled_at: Timestamp,
    /// Facts of the call.
    #[serde(rename = "asked")]
    pub summary: Arc<CallSummary>,
    /// The result; empty when a sweep settled it.
    #[serde(rename = "came")]
    pub result: CallResult,
}

impl Row {
    /// When it was sent, by the store's clock.
    #[must_use]
    pub fn sent_at(&self) -> Option<Timestamp> {
        self.result.sent_us.and_then(|micros| after(self.admitted_at, micros))
    }

    /// When the upstream had answered, by the store's clock.
    #[must_use]
    pub fn answered_at(&self) -> Option<Timestamp> {
        self.result.answered_us.and_then(|micros| after(self.admitted_at, micros))
    }
}

fn after(moment: Timestamp, micros: u64) -> Option<Timestamp> {
    moment.checked_add(Duration::from_micros(micros)).ok()
}

/// Part of a team's rows, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<Row>,
    /// Number of all rows of the team.
    pub total: u64,
    /// Rows dropped before their time.
    pub lost: LostRows,
}

/// Rows of a team that were dropped because there were more than [`Retention::rows_max`].
///
/// [`Retention::rows_max`]: super::Retention::rows_max
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LostRows {
    /// Rows of calls that cost something.
    pub paid: u64,
    /// Rows of calls that cost nothing: these are dropped first.
    pub free: u64,
    /// When the last dropped paid row was settled: all rows left are younger.
    pub paid_until: Option<Timestamp>,
    /// When the last dropped free row was settled.
    pub free_until: Option<Timestamp>,
}

impl LostRows {
    /// All dropped rows.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.paid + self.free
    }
}
