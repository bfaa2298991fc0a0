//! Flaws in a store's setup that an operator must fix although the store answers.

use std::fmt;

/// A flaw in a store's setup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flaw {
    /// How serious it is.
    pub weight: Weight,
    /// What is wrong, where, and how to fix it: one sentence for the operator.
    pub text: String,
}

/// How serious a flaw is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Harmless for now, or allowed by the operator.
    Warning,
    /// Something fails.
    Error,
    /// Budgets are not safe: the gateway does not start with such a store.
    Refusal,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
