//! Idempotency: makes a call with an idempotency key once, and stores answers for repeats and for
//! callers who left.
//!
//! Reading order: [`crate::call::key`] (recognizes repeated calls), [`claim`] (the right to make a
//! call), [`stored_response`] (the answer of a call), [`store`] (keeps both), [`memory`] (the store
//! beside an embedded ledger), [`redis`] with `replay.lua` and `redis_keys` (the store beside a
//! ledger in Redis), [`replays`] (a worker's operations on the store), [`claimed`] (a claim held by
//! its call), `waiting` (outcomes that the store does not have yet), [`replay`] (the layer).
//!
//! Of a team's calls with the same key and body, only the first is made, over all replicas: it
//! claims the key, and the others wait for its answer. A call that spent nothing gives its key
//! back.

pub mod claim;
pub mod claimed;
pub mod memory;
pub mod observe;
pub mod redis;
mod redis_keys;
pub mod replay;
pub mod replays;
pub mod settings;
pub mod store;
pub mod stored_response;
mod waiting;

pub use self::redis::RedisReplays;
pub use claim::Claim;
pub use claimed::Claimed;
pub use memory::Memory;
pub use observe::{Kind, Observer};
pub use replay::{NewCall, Replay, Times};
pub use replays::{Ended, Replays};
pub use settings::Settings;
pub use store::{Begun, LISTED_MAX, Store};
pub use stored_response::{Call, StoredResponse, Summary};
