//! Recently refused calls: noted by each process, kept in the store for a week, and shown to the
//! team and its operators.
//!
//! Reading order: this file (the record of one call and the trait of the store), `recorder` (notes
//! calls on the path of a request, and writes them from a task), then the stores: `redis`, shared
//! by all replicas, and `memory`, for the one process of an embedded ledger. A refusal does no I/O
//! on the path of a request. A flood of refusals causes one write a second for each team, because
//! only the newest are kept; the access log has all.

mod memory;
mod recorder;
mod redis;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::in_millis;
use crate::store::Outage;
use crate::team::TeamId;

pub use self::redis::RedisRefused;
pub use memory::MemoryRefused;
pub use recorder::Recorder;

/// Most calls kept for a team.
pub const KEPT_MAX: usize = 100;

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedCall {
    /// When it was refused, by the clock of its process.
    #[serde(serialize_with = "in_millis")]
    pub created_at: Timestamp,
    /// Id of the call.
    pub call_id: String,
    /// Id that its request carried.
    pub request_id: String,
    /// Who called.
    pub user: String,
    /// Public id of the gateway key, unless it was a token.
    pub key_id: Option<String>,
    /// The model.
    pub endpoint: Option<String>,
    /// Status of the answer.
    pub status: u16,
    /// Code of the refusal.
    pub code: String,
    /// The limit that refused it, with its level; `None` when no limit did.
    pub limit: Option<String>,
    /// The message of the answer.
    pub message: String,
}

/// Keeps the latest of each team.
pub trait Store: Send + Sync + 'static {
    /// Adds calls of a team, newest first; the oldest beyond [`KEPT_MAX`] give way.
    fn add<'a>(
        &'a self,
        team: &'a TeamId,
        newest_first: &'a [RefusedCall],
    ) -> BoxFuture<'a, Result<(), Outage>>;

    /// The latest of a team, newest first.
    fn latest<'a>(&'a self, team: &'a TeamId) -> BoxFuture<'a, Result<Vec<RefusedCall>, Outage>>;
}
