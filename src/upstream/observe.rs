//! What calls to the upstream report to metrics.

use std::time::Duration;

use crate::credits::Credits;
use crate::team::TeamId;

/// Observer of calls to the upstream. Called on the hot path, so it must neither block nor allocate
/// much.
pub trait Observer: Send + Sync + 'static {
    /// Reports a call that ended: the upstream's status, or else the refusal's code, and how long
    /// it took.
    fn called(&self, model_label: &str, code: &str, duration: Duration);

    /// Reports whether a shared key is in use.
    fn key_healthy(&self, key: &str, healthy: bool);

    /// Reports calls left in a window (`minute`, `day`, `month`) of a key, or of all keys if the
    /// name is empty; or in the window of the upstream's headers (`told`).
    fn limit_remaining(&self, key: &str, window: &str, remaining: u64);

    /// A call of this team joined the queue for the shared account.
    fn queue_joined(&self, team: &TeamId);

    /// A call of this team left the queue, for any reason.
    fn queue_left(&self, team: &TeamId);

    /// A call of this team got its permit, or gave up, after this time.
    fn queue_waited(&self, team: &TeamId, waited: Duration);

    /// Reports the balance of a key's account.
    fn balance(&self, key: &str, balance: Credits);

    /// Reports how much more the account was charged than the ledger, in millionths; negative when
    /// less.
    fn drift(&self, key: &str, micros: i64);

    /// Reports whether the breaker is open.
    fn breaker_open(&self, open: bool);

    /// Reports that a shared key was blanked in an answer.
    fn tripwire(&self);
}
