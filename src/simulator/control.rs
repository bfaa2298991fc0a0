//! The simulator's own endpoints under `/_simulator/`: call log, faults, keys, and reset.

use std::collections::BTreeMap;

use http::request::Parts;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answers::{self, Answer};
use super::call_log::Extract;
use super::faults;
use super::firemoon::Firemoon;
use super::history::parameter;
use crate::credits::Credits;

/// A change to a key at run time; absent members stay as they are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyChange {
    suspended: Option<bool>,
    revoked: Option<bool>,
    /// New balance of the key's account: a number, or a decimal as text.
    balance: Option<Value>,
    requests_per_minute: Option<u64>,
    requests_per_day: Option<u64>,
    requests_per_month: Option<u64>,
}

/// Answers a request under `/_simulator/`. Needs no credential: this is for tests and
/// demonstrations.
pub(super) fn answer(firemoon: &Firemoon, parts: &Parts, body: &[u8]) -> Answer {
    let path = parts.uri.path().trim_start_matches("/_simulator/");
    match (&parts.method, path) {
        (&Method::GET, "books") => books(firemoon, parts.uri.query().unwrap_or_default()),
        (&Method::GET, "faults") => answers::json(StatusCode::OK, &firemoon.state().rules),
        (&Method::PUT, "faults") => {
            done(faults::read_rules(body).map(|rules| firemoon.state().rules = rules))
        }
        (&Method::DELETE, "faults") => {
            firemoon.state().rules.clear();
            done(Ok(()))
        }
        (&Method::POST, "reset") => {
            firemoon.reset();
            done(Ok(()))
        }
        (&Method::POST, "release") => {
            firemoon.release();
            done(Ok(()))
        }
        (&Method::PUT, path) => match path.strip_prefix("keys/") {
            Some(name) => done(change(firemoon, name, body)),
            None => answers::not_found(),
        },
        _ => answers::not_found(),
    }
}

fn done(result: Result<(), String>) -> Answer {
    match result {
        Ok(()) => answers::json(StatusCode::OK, &json!({ "done": true })),
        Err(problem) => answers::invalid_input(&[problem]),
    }
}

/// `?calls=N` for the latest N calls only, `?x_request_id=…` for one request's calls only.
fn books(firemoon: &Firemoon, query: &str) -> Answer {
    let limit = parameter(query, "calls").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    let state = firemoon.state();
    let extract = state.call_log.extract(limit, parameter(query, "x_request_id").as_deref());
    let held = state.held;
    let balances =
        state.accounts.iter().map(|account| (account.name.clone(), account.balance)).collect();
    drop(state);
    answers::json(StatusCode::OK, &Shown { balances, held, extract })
}

#[derive(Serialize)]
struct Shown {
    /// Balance of each account.
    balances: BTreeMap<String, Credits>,
    /// Calls that wait for a release.
    held: u64,
    #[serde(flatten)]
    extract: Extract,
}

fn change(firemoon: &Firemoon, name: &str, body: &[u8]) -> Result<(), String> {
    let change: KeyChange = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let balance = match &change.balance {
        None => None,
        Some(Value::String(text)) => {
            Some(text.parse::<Credits>().map_err(|error| error.to_string())?)
        }
        Some(other) => {
            Some(other.to_string().parse::<Credits>().map_err(|error| error.to_string())?)
        }
    };
    let mut state = firemoon.state();
    let key = state
        .keys
        .iter_mut()
        .find(|key| key.name == name)
        .ok_or_else(|| format!("there is no key named {name}"))?;
    key.suspended = change.suspended.unwrap_or(key.suspended);
    key.revoked = change.revoked.unwrap_or(key.revoked);
    key.limit(|limits| {
        limits.per_minute = change.requests_per_minute.or(limits.per_minute);
        limits.per_day = change.requests_per_day.or(limits.per_day);
        limits.per_month = change.requests_per_month.or(limits.per_month);
    });
    let account = key.account;
    if let (Some(balance), Some(account)) = (balance, state.accounts.get_mut(account)) {
        account.balance = balance;
    }
    Ok(())
}
