//! What the upstream room tells whoever watches it.

use std::time::Duration;

use crate::credits::Credits;
use crate::team::TeamId;

/// Watches calls to the upstream. Called on the hot path: implementations neither block nor allocate much.
pub trait Observer: Send + Sync + 'static {
    /// A call ended: the status the upstream gave, or the refusal's code when it gave none, and how long it took.
    fn called(&self, model_label: &str, code: &str, took: Duration);

    /// Whether a shared key, by its name, is in use.
    fn key_healthy(&self, key: &str, healthy: bool);

    /// How many calls are left in a window (`minute`, `day`, `month`) of a key, or of all together when the key is
    /// empty; in the window that the upstream itself speaks of (`told`).
    fn limit_remaining(&self, key: &str, window: &str, remaining: u64);

    /// A call of this team began to wait for the shared account.
    fn queue_joined(&self, team: &TeamId);

    /// It does not wait any more, however that came.
    fn queue_left(&self, team: &TeamId);

    /// A call of this team has got, or not got, its permit after this time.
    fn queue_waited(&self, team: &TeamId, waited: Duration);

    /// The balance of a key's account, as it was read.
    fn balance(&self, key: &str, balance: Credits);

    /// How much more than was spent the account has lost, in millionths; less than nothing when it lost less.
    fn drift(&self, key: &str, micros: i64);

    /// Whether calls are refused because the upstream fails again and again.
    fn breaker_open(&self, open: bool);

    /// An answer held the shared key; it was blanked before it left.
    fn tripwire(&self);
}
