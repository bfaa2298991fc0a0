//! The limit that refused a call, as reported to the caller.

use std::time::Duration;

use jiff::Timestamp;

use crate::credits::Credits;
use crate::ledger::LimitStatus;
use crate::team::limit::{Shape, Unit};

/// A limit, its status, and when it will let the call through.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The limit that refused.
    pub limit: LimitStatus,
    /// The status of every limit, for the rate-limit headers.
    pub statuses: Vec<LimitStatus>,
    /// What the call would have cost at most.
    pub price: Credits,
    /// When the call could pass; `None` when waiting will not help.
    pub reset_at: Option<Timestamp>,
    /// How long until then, by the store's clock.
    pub retry_after: Option<Duration>,
}

impl Bound {
    /// The store's time of the refusal, if waiting will help.
    #[must_use]
    pub fn at(&self) -> Option<Timestamp> {
        self.reset_at?.checked_sub(jiff::SignedDuration::try_from(self.retry_after?).ok()?).ok()
    }

    /// The limit and its level, as in metrics and views: `user:requests_per_minute`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.limit.scope.level(), self.limit.kind)
    }

    /// The message of a 402: which budget, how much is used, what the call costs, and when the
    /// budget resets.
    #[must_use]
    pub fn budget_message(&self) -> String {
        let reset = match self.limit.reset_at {
            Some(at) => format!("it resets at {at}"),
            None => "it does not reset: the operators of this gateway can top it up".to_owned(),
        };
        format!(
            "Insufficient credits to generate content: {}, this call costs up to {}; {reset}",
            self.explanation(),
            self.price
        )
    }

    /// The limit and its status: `team:requests_per_minute allows 6: 6 used, 0 reserved`. A call
    /// holds a slot until its answer has been read.
    #[must_use]
    pub fn explanation(&self) -> String {
        let LimitStatus { kind, max, used, reserved, .. } = &self.limit;
        let amount = |number: u64| match kind.shape() {
            Shape::Window(_, Unit::Credits) => Credits::from_micros(number).to_string(),
            Shape::Window(_, Unit::Requests) | Shape::Bucket(_) | Shape::Slots => {
                number.to_string()
            }
        };
        let name = self.name();
        if kind.shape() == Shape::Slots {
            return format!(
                "{name} allows {max} calls at a time: {} are open",
                used.saturating_add(*reserved)
            );
        }
        format!(
            "{name} allows {}: {} used, {} reserved",
            amount(*max),
            amount(*used),
            amount(*reserved)
        )
    }
}
