//! The operator's choices for what the ledger cannot know: calls without an outcome, and lost
//! writes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a call of unknown outcome costs: `charge`, the reserved price; `release`, nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // documented above, so that the schema has it in one place
pub enum OnUnknown {
    Charge,
    Release,
}

/// What happens to budgets when the store has lost writes (it was flushed, loaded an older copy, or
/// failed over to a replica that lacked the last writes). They are closed at once. `rebuild` opens
/// them when the replicas have restored what they know. `hold` keeps them closed until an operator
/// accepts what is left, and treats an empty store as a lost one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // documented above, so that the schema has it in one place
pub enum OnLoss {
    Rebuild,
    Hold,
}
