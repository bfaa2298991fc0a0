//! What this room tells those who count: how each credential fared, and how each refresh of a key set went.

/// The kind of a gateway key, in metrics.
pub const KEY: &str = "key";
/// The kind of a token, in metrics.
pub const TOKEN: &str = "jwt";
/// The result of a token that was not looked at, because too many credentials had failed where it comes from.
pub const THROTTLED: &str = "throttled";
/// The result of a credential that was accepted, and of a key set that was read.
pub const OK: &str = "ok";
/// The result of a key set that could not be read.
pub const FAILED: &str = "failed";

/// Is told what happens here. Implementations count; they must not block.
pub trait Observer: Send + Sync {
    /// A credential of this kind ([`KEY`], [`TOKEN`]) was judged: [`OK`], or the name of a [`super::FailedCheck`];
    /// [`THROTTLED`] when it was not.
    fn authenticated(&self, kind: &'static str, result: &'static str);

    /// The key set of this issuer was asked for: [`OK`] or [`FAILED`].
    fn refreshed(&self, issuer: &str, result: &'static str);
}

/// Nobody counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotObserved;

impl Observer for NotObserved {
    fn authenticated(&self, _kind: &'static str, _result: &'static str) {}

    fn refreshed(&self, _issuer: &str, _result: &'static str) {}
}
