//! What an operator decides for the times when the ledger cannot know: a call of which nobody heard, writes that were
//! lost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a call of unknown outcome costs: `charge`, what was reserved; `release`, nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // said above, for the schema to say it in one place
pub enum OnUnknown {
    Charge,
    Release,
}

/// Budgets of which the store has lost something (it was flushed, an older copy was loaded, a replica took over that
/// lacked the last writes). They are closed at once; `rebuild` opens them when the replicas have brought what they
/// know, `hold` keeps them closed until an operator accepts what is left, and takes an empty store for a lost one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // said above, for the schema to say it in one place
pub enum OnLoss {
    Rebuild,
    Hold,
}
