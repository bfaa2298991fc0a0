//! Failures of a store.

/// An operation of the store failed. It may have been carried out nevertheless.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Outage {
    /// No answer within the deadline.
    #[error("the ledger did not answer in time")]
    TimedOut,
    /// No connection, or it broke.
    #[error("the ledger cannot be reached: {0}")]
    Unreachable(String),
    /// Answered with an error or an unexpected value (out of memory, read-only, wrong type).
    #[error("the ledger refused: {0}")]
    Refused(String),
    /// Answered, and has lost writes or may have: the team's budgets are closed until what they
    /// spent is known again.
    #[error(
        "the ledger has lost writes, or may lack some that others know of: budgets are closed \
         until that is known"
    )]
    Lost,
}

impl Outage {
    /// Name of the kind in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::Lost => "lost",
        }
    }

    /// Whether the store answered, so that the operation was certainly not carried out.
    #[must_use]
    pub const fn is_an_answer(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Lost => true,
            Self::TimedOut | Self::Unreachable(_) => false,
        }
    }
}
