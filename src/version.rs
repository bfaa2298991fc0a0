//! Version and commit of this build, for `--version` and the metrics.

/// Version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Commit of the build, from `MOONGATE_COMMIT` at compile time; the image's build sets it.
pub const COMMIT: &str = match option_env!("MOONGATE_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
