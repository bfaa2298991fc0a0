//! What authentication reports to metrics: results of credentials, and of refreshed key sets.

/// Kind of a gateway key in metrics.
pub const KEY: &str = "key";
/// Kind of a token in metrics.
pub const TOKEN: &str = "jwt";
/// Result of a token that was not checked because too many credentials had failed from its address.
pub const THROTTLED: &str = "throttled";
/// Result of an accepted credential, and of a key set that was read.
pub const OK: &str = "ok";
/// Result of a key set that could not be read.
pub const FAILED: &str = "failed";

/// Counts results. Must not block.
pub trait Observer: Send + Sync {
    /// Counts a credential of this kind ([`KEY`], [`TOKEN`]) with its result: [`OK`], the name of a
    /// [`super::FailedCheck`], or [`THROTTLED`].
    fn authenticated(&self, kind: &'static str, result: &'static str);

    /// Counts a refresh of this issuer's key set: [`OK`] or [`FAILED`].
    fn refreshed(&self, issuer: &str, result: &'static str);
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotObserved;

impl Observer for NotObserved {
    fn authenticated(&self, _kind: &'static str, _result: &'static str) {}

    fn refreshed(&self, _issuer: &str, _result: &'static str) {}
}
