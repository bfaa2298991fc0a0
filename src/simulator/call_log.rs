//! Call log of the simulator, so that tests can compare what was executed with what was reported.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use http::request::Parts;
use serde::Serialize;

use crate::credits::Credits;

/// Who made a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// No credential.
    Nobody,
    /// An unknown credential.
    Unknown,
    /// A key, by its index.
    Key(usize),
}

/// Everything shown of one call. Never a credential.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Call {
    number: u64,
    /// The connection, counted from 1.
    connection: u64,
    version: String,
    method: String,
    path: String,
    model: Option<String>,
    x_request_id: Option<String>,
    /// Name of the key; `unknown`; or absent.
    key: Option<String>,
    headers: Vec<(String, String)>,
    body_bytes: usize,
    body_sha256: String,
    fault: Option<String>,
    /// `null` while it runs, or if it was not answered.
    status: Option<u16>,
    executed: bool,
    charged: Credits,
    /// Unix milliseconds.
    received_ms: i64,
    /// `null` while it runs.
    duration_ms: Option<i64>,
}

/// Totals of one key.
#[derive(Clone, Default, Serialize)]
struct Sums {
    requests: u64,
    executed: u64,
    /// Answered with 400 or more and not executed.
    rejected: u64,
    charged: Credits,
}

/// How often a request id was seen; `executed` above 1 is a double execution.
#[derive(Clone, Copy, Default, Serialize)]
struct Seen {
    requests: u64,
    executed: u64,
}

/// The call log.
pub(super) struct CallLog {
    calls_max: usize,
    first: u64,
    calls: VecDeque<Arc<Call>>,
    keys: BTreeMap<String, Sums>,
    request_ids: HashMap<String, Seen>,
    unknown_credentials: u64,
    in_flight: u64,
}

/// Outcome of a call.
#[derive(Clone, Copy, Default)]
pub(super) struct Outcome {
    pub(super) status: Option<u16>,
    pub(super) executed: bool,
    pub(super) charged: Credits,
}

/// Response of `GET /_simulator/books`.
#[derive(Serialize)]
pub(super) struct Extract {
    requests: u64,
    executed: u64,
    charged: Credits,
    unknown_credentials: u64,
    in_flight: u64,
    keys: BTreeMap<String, Sums>,
    request_ids: BTreeMap<String, Seen>,
    calls_forgotten: u64,
    calls: Vec<Arc<Call>>,
}

const UNKNOWN: &str = "unknown";
const NOBODY: &str = "none";

impl CallLog {
    pub(super) fn new(calls_max: usize) -> Self {
        Self {
            calls_max: calls_max.max(1),
            first: 0,
            calls: VecDeque::new(),
            keys: BTreeMap::new(),
            request_ids: HashMap::new(),
            unknown_credentials: 0,
            in_flight: 0,
        }
    }

    /// Clears the log. Numbers go on, so that calls that still run do not end up in later entries.
    pub(super) fn clear(&mut self) {
        let first = self.first + u64::try_from(self.calls.len()).unwrap_or(u64::MAX);
        *self = Self { first, in_flight: self.in_flight, ..Self::new(self.calls_max) };
    }

    /// Adds a call that has arrived; returns the number to close it with.
    pub(super) fn open(&mut self, mut call: Call, caller: Caller) -> u64 {
        call.number = self.first + u64::try_from(self.calls.len()).unwrap_or(u64::MAX);
        self.unknown_credentials += u64::from(caller == Caller::Unknown);
        self.in_flight += 1;
        sums(&mut self.keys, call.key.as_deref()).requests += 1;
        if let Some(id) = &call.x_request_id {
            self.request_ids.entry(id.clone()).or_default().requests += 1;
        }
        let number = call.number;
        self.calls.push_back(Arc::new(call));
        if self.calls.len() > self.calls_max {
            self.forget_oldest();
        }
        number
    }

    fn forget_oldest(&mut self) {
        let Some(call) = self.calls.pop_front() else { return };
        self.first += 1;
        let Some(id) = &call.x_request_id else { return };
        if let Some(seen) = self.request_ids.get_mut(id) {
            seen.requests -= 1;
            seen.executed -= u64::from(call.executed);
            if seen.requests == 0 {
                self.request_ids.remove(id);
            }
        }
    }

    /// Notes the fault that applied to a call.
    pub(super) fn note(&mut self, number: u64, fault: String) {
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(call) = place.and_then(|place| self.calls.get_mut(place)) {
            Arc::make_mut(call).fault = Some(fault);
        }
    }

    /// Notes how a call ended, unless its entry was dropped meanwhile.
    pub(super) fn close(&mut self, number: u64, outcome: Outcome, now_ms: i64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let Some(call) = place.and_then(|place| self.calls.get_mut(place)).map(Arc::make_mut)
        else {
            return;
        };
        call.status = outcome.status;
        call.executed = outcome.executed;
        call.charged = outcome.charged;
        call.duration_ms = Some(now_ms - call.received_ms);
        let sums = sums(&mut self.keys, call.key.as_deref());
        sums.executed += u64::from(outcome.executed);
        sums.charged = sums.charged.plus(outcome.charged);
        sums.rejected +=
            u64::from(!outcome.executed && outcome.status.is_some_and(|status| status >= 400));
        if let (true, Some(seen)) = (
            outcome.executed,
            call.x_request_id.as_ref().and_then(|id| self.request_ids.get_mut(id)),
        ) {
            seen.executed += 1;
        }
    }

    /// The totals and the latest calls: at most `limit`, and only those with the request id, if
    /// given.
    pub(super) fn extract(&self, limit: usize, request_id: Option<&str>) -> Extract {
        let matches = |call: &&Arc<Call>| {
            request_id.is_none_or(|id| call.x_request_id.as_deref() == Some(id))
        };
        let mut calls: Vec<Arc<Call>> =
            self.calls.iter().rev().filter(matches).take(limit).cloned().collect();
        calls.reverse();
        let ids = self
            .request_ids
            .iter()
            .filter(|(id, _)| request_id.is_none_or(|wanted| wanted == id.as_str()));
        Extract {
            requests: self.keys.values().map(|sums| sums.requests).sum(),
            executed: self.keys.values().map(|sums| sums.executed).sum(),
            charged: self.keys.values().fold(Credits::ZERO, |sum, sums| sum.plus(sums.charged)),
            unknown_credentials: self.unknown_credentials,
            in_flight: self.in_flight,
            keys: self.keys.clone(),
            request_ids: ids.map(|(id, seen)| (id.clone(), *seen)).collect(),
            calls_forgotten: self.first,
            calls,
        }
    }
}

/// Totals of one key, by its displayed name.
fn sums<'a>(keys: &'a mut BTreeMap<String, Sums>, name: Option<&str>) -> &'a mut Sums {
    keys.entry(name.unwrap_or(NOBODY).to_owned()).or_default()
}

impl Call {
    /// A call that has arrived. `key` is the displayed name of its credential.
    pub(super) fn arrived(
        parts: &Parts,
        connection: u64,
        body: &[u8],
        caller: Caller,
        key: Option<&str>,
        now_ms: i64,
    ) -> Self {
        let shown = match caller {
            Caller::Nobody => None,
            Caller::Unknown => Some(UNKNOWN),
            Caller::Key(_) => key,
        };
        let headers = parts.headers.iter().map(|(name, value)| {
            let secret = name == http::header::AUTHORIZATION;
            let value = String::from_utf8_lossy(value.as_bytes());
            (
                name.as_str().to_owned(),
                if secret { shown.unwrap_or(UNKNOWN).to_owned() } else { value.into_owned() },
            )
        });
        let path = parts.uri.path();
        let text = |name: &str| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        Self {
            number: 0,
            connection,
            version: format!("{:?}", parts.version),
            method: parts.method.to_string(),
            path: parts
                .uri
                .path_and_query()
                .map_or(path, http::uri::PathAndQuery::as_str)
                .to_owned(),
            model: path.strip_prefix("/api/v1/").map(str::to_owned),
            x_request_id: text("x-request-id"),
            key: shown.map(str::to_owned),
            headers: headers.collect(),
            body_bytes: body.len(),
            body_sha256: sha256(body),
            fault: None,
            status: None,
            executed: false,
            charged: Credits::ZERO,
            received_ms: now_ms,
            duration_ms: None,
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    use std::fmt::Write;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
