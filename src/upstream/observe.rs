//! What the upstream room tells whoever watches it.

use std::time::Duration;

/// Watches calls to the upstream. Called on the hot path: implementations neither block nor allocate much.
pub trait Observer: Send + Sync + 'static {
    /// A call ended: the status the upstream gave, or the refusal's code when it gave none, and how long it took.
    fn called(&self, model_label: &str, code: &str, took: Duration);

    /// Whether a shared key, by its name, is in use.
    fn key_healthy(&self, key: &str, healthy: bool);

    /// The upstream's own count of what is left in its window (`X-RateLimit-Remaining`).
    fn limit_remaining(&self, key: &str, remaining: u64);

    /// An answer held the shared key; it was blanked before it left.
    fn tripwire(&self);
}
