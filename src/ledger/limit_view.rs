//! Status of a limit in JSON, as all views show it: the team's and the operator's.

use jiff::Timestamp;
use serde::Serialize;

use super::LimitStatus;
use crate::credits::Credits;
use crate::team::LimitKind;
use crate::team::limit::{Shape, Unit};

/// One limit.
#[derive(Debug, Serialize)]
pub struct LimitView {
    /// `team:credits_per_month`.
    limit: String,
    max: Amount,
    /// Prepaid credits: the part of `max` that was topped up.
    #[serde(rename = "toppedUp", skip_serializing_if = "Option::is_none")]
    topped_up: Option<Credits>,
    used: Amount,
    reserved: Amount,
    remaining: Amount,
    /// When the window ends or the bucket is full; `null` for prepaid credits and slots.
    reset: Option<Timestamp>,
    /// Only counts, and refuses nothing.
    shadow: bool,
}

/// An amount: calls are whole numbers, credits are decimals.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Amount {
    /// Requests, or slots.
    Requests(u64),
    /// Credits.
    Credits(Credits),
}

impl Amount {
    /// An amount in the unit of this kind of limit.
    #[must_use]
    pub const fn of(kind: LimitKind, number: u64) -> Self {
        match kind.shape() {
            Shape::Window(_, Unit::Credits) => Self::Credits(Credits::from_micros(number)),
            Shape::Window(_, Unit::Requests) | Shape::Bucket(_) | Shape::Slots => {
                Self::Requests(number)
            }
        }
    }
}

impl From<&LimitStatus> for LimitView {
    fn from(status: &LimitStatus) -> Self {
        let amount = |number| Amount::of(status.kind, number);
        Self {
            limit: format!("{}:{}", status.scope.level(), status.kind),
            max: amount(status.max),
            topped_up: status.topped_up_credits(),
            used: amount(status.used),
            reserved: amount(status.reserved),
            remaining: amount(status.remaining()),
            reset: status.reset_at,
            shadow: status.shadow,
        }
    }
}
