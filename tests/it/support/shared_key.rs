//! The key of the tests' shared account.

/// The key that a company shares: nothing that leaves a gateway may ever hold it.
pub const SHARED_KEY: &str = "fm_live_3f9a7c51e2b84d06a1";
