//! What is wrong with how a store is set up although it answers: an operator must mend it.

use std::fmt;

/// Something that is wrong with a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flaw {
    /// How grave it is.
    pub weight: Weight,
    /// What is wrong, where, and what mends it: a sentence for the operator.
    pub text: String,
}

/// How grave a flaw is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Nothing goes wrong yet, or an operator has allowed it by name.
    Warning,
    /// Something goes wrong.
    Error,
    /// Budgets are not safe: a gateway does not begin on such a store.
    Refusal,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
