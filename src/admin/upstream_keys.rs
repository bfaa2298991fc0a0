//! Shared keys: which are usable, and why others are not used for now. Never a secret.

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::call;
use crate::http::Answer;
use crate::refusal::Refusal;
use crate::upstream::KeyPool;
use crate::upstream::keys::{Cooldown, Key};

#[derive(Debug, Serialize)]
struct KeyView<'a> {
    name: &'a str,
    weight: u32,
    /// Whether the upstream accepts calls with it, now or in its next window.
    healthy: bool,
    /// `null` while it is used.
    resting: Option<RestView>,
}

#[derive(Debug, Serialize)]
struct RestView {
    why: &'static str,
    since: Timestamp,
    until: Timestamp,
}

/// The keys as this replica knows them from the upstream's answers.
pub(super) fn list(keys: &KeyPool, now: Timestamp) -> Result<Answer, Refusal> {
    let views: Vec<KeyView<'_>> = keys.iter().map(|key| view(key, now)).collect();
    call::json(StatusCode::OK, &json!({ "keys": views }))
}

fn view(key: &Key, now: Timestamp) -> KeyView<'_> {
    let rest =
        |rest: Cooldown| RestView { why: rest.why.name(), since: rest.since, until: rest.until };
    KeyView {
        name: &key.name,
        weight: key.weight(),
        healthy: key.is_accepted(now),
        resting: key.current_cooldown(now).map(rest),
    }
}
