//! `GET /admin/v1/changes`: what operators changed lately, whichever replica they asked. Kept
//! beside the gateway keys; the audit lines of the log are the full record.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call;
use crate::http::Answer;
use crate::identity::Store;
use crate::identity::key_registry::CHANGES_ENTRY;
use crate::refusal::Refusal;

/// Most changes that are kept.
const KEPT_MAX: usize = 100;
/// Attempts to add a change while other replicas add theirs.
const TRIES: usize = 8;
/// The largest `before` or `after` that is kept, in bytes of JSON: the list is read whole by every
/// replica with each change.
const SHOWN_BYTES_MAX: usize = 2 * 1024;

/// A change as stored and shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangeView {
    /// Time of the change.
    pub(super) at: Timestamp,
    /// Id of the request.
    pub(super) request_id: String,
    /// Name of the operator's token.
    pub(super) operator: String,
    /// Action, as in the audit line.
    pub(super) action: String,
    /// Team or key that was changed.
    pub(super) subject: String,
    /// State before; never a secret.
    pub(super) before: Value,
    /// State after; never a secret.
    pub(super) after: Value,
    /// `false` if the store did not answer: the change may or may not have been made.
    pub(super) certain: bool,
}

/// The list of changes in the store.
#[derive(Clone)]
pub(super) struct Changes(pub(super) Arc<dyn Store>);

impl Changes {
    /// Lists the latest changes, newest first.
    ///
    /// # Errors
    /// `ledger_unavailable`.
    pub(super) async fn list(&self) -> Result<Answer, Refusal> {
        let bytes = self.0.entry(CHANGES_ENTRY).await.map_err(|_| Refusal::LedgerUnavailable)?;
        call::json(StatusCode::OK, &json!({ "changes": read(bytes.as_deref()) }))
    }

    /// Adds a change. A change that cannot be listed is made nevertheless; the audit line has it.
    pub(super) async fn add(&self, change: ChangeView) {
        let change =
            ChangeView { before: small(change.before), after: small(change.after), ..change };
        for _ in 0..TRIES {
            let bytes = match self.0.entry(CHANGES_ENTRY).await {
                Ok(bytes) => bytes,
                Err(outage) => return not_kept(&outage.to_string()),
            };
            let mut changes = read(bytes.as_deref());
            changes.insert(0, change.clone());
            changes.truncate(KEPT_MAX);
            // Texts, times and JSON always have a JSON form.
            let after = serde_json::to_vec(&changes).unwrap_or_default();
            match self.0.replace(CHANGES_ENTRY, bytes.as_deref(), &after).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(outage) => return not_kept(&outage.to_string()),
            }
        }
        not_kept("others change at the same time");
    }
}

/// Reads the list. One that another version wrote differently is started anew.
fn read(bytes: Option<&[u8]>) -> Vec<ChangeView> {
    bytes.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
}

fn small(value: Value) -> Value {
    if value.to_string().len() <= SHOWN_BYTES_MAX { value } else { json!("see the audit line") }
}

fn not_kept(why: &str) {
    tracing::warn!(why, "a change by an operator is not in the list of recent changes");
}
