//! Has this call been made before, and what was its answer: idempotency keys, and answers kept for
//! callers who left.
//!
//! Reading order: [`crate::call::key`] (what makes two calls the same one), [`claim`] (the right to
//! make it), [`stored_response`] (an answer that is remembered), [`store`] (where both are),
//! [`memory`] (the store beside an embedded ledger), [`redis`] with `replay.lua` and `redis_keys`
//! (the one beside a ledger in Redis), [`replays`] (what the rooms do with it), [`claimed`] (a
//! claim in the hands of its call), `waiting` (outcomes that the store does not have yet),
//! [`replay`] (the layer).
//!
//! Of calls with the same key and body, of one team, one is made: whoever claims the key first
//! makes it, the others wait for its answer, on whatever replica. A call of which nothing was spent
//! gives its key back.

pub mod claim;
pub mod claimed;
pub mod memory;
pub mod observe;
pub mod redis;
mod redis_keys;
#[allow(clippy::module_inception)] // the layer is called what the room is called
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
