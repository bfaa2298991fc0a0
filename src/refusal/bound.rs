//! The limit that refused a call, as the caller is told of it.

use std::time::Duration;

use jiff::Timestamp;

use crate::credits::Credits;
use crate::ledger::LimitStatus;
use crate::team::limit::{Shape, Unit};

/// A limit, how it stood, and when it will let the call through.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The limit that refused.
    pub limit: LimitStatus,
    /// Every limit as it stood, for the rate-limit headers.
    pub standings: Vec<LimitStatus>,
    /// What the call would have cost at most.
    pub price: Credits,
    /// When it could pass; `None` when no time will help.
    pub reset_at: Option<Timestamp>,
    /// How long that is from now, by the store's clock.
    pub retry_after: Option<Duration>,
}

impl Bound {
    /// The store's time when it refused, where it can be told from when the call could pass.
    #[must_use]
    pub fn at(&self) -> Option<Timestamp> {
        self.reset_at?.checked_sub(jiff::SignedDuration::try_from(self.retry_after?).ok()?).ok()
    }

    /// The 402 sentence: which budget, how much of it is gone, what the call costs, and when it begins anew.
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

    /// The limit and its state in words: `team:requests_per_minute allows 6: 6 used, 0 reserved`. A call that is open
    /// has a slot, whether it runs or its answer has not been read yet.
    #[must_use]
    pub fn explanation(&self) -> String {
        let LimitStatus { scope, kind, max, used, reserved, .. } = &self.limit;
        let amount = |number: u64| match kind.shape() {
            Shape::Window(_, Unit::Credits) => Credits::from_micros(number).to_string(),
            Shape::Window(_, Unit::Requests) | Shape::Bucket(_) | Shape::Slots => number.to_string(),
        };
        let level = scope.level();
        if kind.shape() == Shape::Slots {
            return format!("{level}:{kind} allows {max} calls at a time: {} are open", used.saturating_add(*reserved));
        }
        format!("{level}:{kind} allows {}: {} used, {} reserved", amount(*max), amount(*used), amount(*reserved))
    }
}
