//! Why the file of a ledger could not be opened.

use std::path::PathBuf;

/// The reason, in a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody has it open already.
    #[error(
        "the ledger file {path} is in use by another process (or opened twice in this one): an embedded ledger belongs to \
         one process; stop the other, give this one a file of its own, or share a ledger in Redis"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It was written by another version.
    #[error("the ledger file {path} has format {found}, this version knows format {known}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What it says it is.
        found: u64,
        /// What it should be.
        known: u64,
    },
    /// It cannot be made, read or written, or it is no ledger.
    #[error("the ledger file {path} cannot be used: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, in the system's words.
        reason: String,
    },
}
