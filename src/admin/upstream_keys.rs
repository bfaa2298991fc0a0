//! The shared keys: which of them can be used, and why the others rest. Never a secret.

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
    /// Whether the upstream takes calls with it, now or when its window begins anew.
    healthy: bool,
    /// `null`: it is used.
    resting: Option<RestView>,
}

#[derive(Debug, Serialize)]
struct RestView {
    why: &'static str,
    since: Timestamp,
    until: Timestamp,
}

/// The keys as this replica knows them: each learns by itself from what it is answered.
pub(super) fn list(keys: &KeyPool, now: Timestamp) -> Result<Answer, Refusal> {
    let views: Vec<KeyView<'_>> = keys.iter().map(|key| view(key, now)).collect();
    call::json(StatusCode::OK, &json!({ "keys": views }))
}

fn view(key: &Key, now: Timestamp) -> KeyView<'_> {
    let rest = |rest: Cooldown| RestView { why: rest.why.name(), since: rest.since, until: rest.until };
    KeyView {
        name: &key.name,
        weight: key.weight(),
        healthy: key.is_accepted(now),
        resting: key.resting(now).map(rest),
    }
}
