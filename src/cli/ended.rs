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
    /// Whether the gateway made the change is unknown: exit code 1.
    #[error("{0}")]
    Unclear(String),
    /// The reader of the output, such as `head`, has closed it: exit code 0, without a message.
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
