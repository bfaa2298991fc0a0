//! Failures of commands.

use std::io;

/// Why a command failed, as a text for its user.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The configuration or the arguments are wrong: exit code 2.
    #[error("{0}")]
    Misused(String),
    /// Anything else: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// A gateway was asked and it is unknown whether it did it: exit code 1.
    #[error("{0}")]
    Unclear(String),
    /// Whoever read what was printed has read enough, such as `head`: exit code 0, and not a word.
    #[error("nobody reads any more")]
    ReadEnough,
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReadEnough;
        }
        Self::Failed(error.to_string())
    }
}
