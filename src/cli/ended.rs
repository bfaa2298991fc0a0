//! How a command ends that did not do what it was asked.

use std::io;

/// Why a command ended without doing what it was asked. The text is for the person who asked.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The configuration, or the way it was called, is wrong: exit code 2.
    #[error("{0}")]
    Misused(String),
    /// Anything else: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// A gateway was asked and did not say whether it did it: exit code 1.
    #[error("{0}")]
    Unclear(String),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
