//! Errors of opening a ledger's file.

use std::path::PathBuf;

/// The error, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Open already.
    #[error(
        "the ledger file {path} is in use by another process (or opened twice in this one): \
         an embedded ledger belongs to one process; stop the other, give this one a file of its \
         own, or share a ledger in Redis"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Written by another version.
    #[error("the ledger file {path} has format {found}, this version knows format {known}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The version.
        found: u64,
        /// The version of this program.
        known: u64,
    },
    /// Cannot be created, read or written, or it is no ledger.
    #[error("the ledger file {path} cannot be used: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: String,
    },
}
