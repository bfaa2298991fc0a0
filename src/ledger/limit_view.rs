//! How a limit stands, as every view of the product shows it: the team's own and the operator's.

use jiff::Timestamp;
use serde::Serialize;

use super::LimitStatus;
use crate::credits::Credits;
use crate::team::LimitKind;
use crate::team::limit::{Shape, Unit};

/// One limit now.
#[derive(Debug, Serialize)]
pub struct LimitView {
    /// `team:credits_per_month`.
    limit: String,
    max: Amount,
    /// Prepaid credits: how much of `max` was topped up.
    #[serde(rename = "toppedUp", skip_serializing_if = "Option::is_none")]
    topped_up: Option<Credits>,
    used: Amount,
    reserved: Amount,
    remaining: Amount,
    /// When the window ends or the bucket is full; `null` for prepaid credits and slots.
    reset: Option<Timestamp>,
    /// It is only counted, and refuses nobody.
    shadow: bool,
}

/// Calls are whole numbers, credits decimals.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Amount {
    /// Requests, or slots.
    Requests(u64),
    /// Credits.
    Credits(Credits),
}

impl Amount {
    /// What a limit of this kind counts.
    #[must_use]
    pub const fn of(kind: LimitKind, number: u64) -> Self {
        match kind.shape() {
            Shape::Window(_, Unit::Credits) => Self::Credits(Credits::from_micros(number)),
            Shape::Window(_, Unit::Requests) | Shape::Bucket(_) | Shape::Slots => Self::Requests(number),
        }
    }
}

impl From<&LimitStatus> for LimitView {
    fn from(standing: &LimitStatus) -> Self {
        let amount = |number| Amount::of(standing.kind, number);
        Self {
            limit: format!("{}:{}", standing.scope.level(), standing.kind),
            max: amount(standing.max),
            topped_up: standing.topped_up_credits(),
            used: amount(standing.used),
            reserved: amount(standing.reserved),
            remaining: amount(standing.remaining()),
            reset: standing.reset_at,
            shadow: standing.shadow,
        }
    }
}
