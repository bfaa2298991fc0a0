//! What can be made to go wrong: the faults, how a header or a rule asks for one, and which rule a call meets.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The names of the faults. Those of the first group are answered in place of the whole call: nothing runs, nothing is
/// counted and nothing is charged, unless `executed` is set. Those of the second happen to a call that has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// 401, as for a key that was revoked.
    InvalidKey,
    /// 402.
    InsufficientCredits,
    /// 403 for the model's provider.
    AccessDenied,
    /// 403 for a suspended account.
    Suspended,
    /// 404 in JSON.
    ModelNotFound,
    /// 404 in HTML.
    HtmlNotFound,
    /// 413 in plain text.
    PayloadTooLarge,
    /// 429; `amount` is the seconds until the reset (30).
    RateLimited,
    /// A redirect; `amount` is the status (307), `text` the target.
    Redirect,
    /// 502 in HTML.
    BadGateway,
    /// Any answer: `amount` is the status (503), `text` the body.
    Answer,
    /// `text` is written to the socket as it is, outside HTTP; then the connection is treated as `then` says.
    Raw,

    /// 500; `text` is the reason (`timeout`). Charged or not as the simulator's `--charge` says.
    GenerationFailed,
    /// 504 in plain text: the platform has ended the call half-way.
    PlatformTimeout,
    /// The connection ends without a byte of an answer.
    ResetBeforeAnswer,
    /// The connection ends after the answer's headers.
    ResetAfterHeaders,
    /// The connection ends in the middle of the body.
    CutBody,
    /// The right answer on a connection that then ends without having said so.
    CloseAfterAnswer,
    /// The call takes until `POST /_simulator/release`: whoever looks can be sure that it is running.
    Hold,
    /// The answer starts `after` (30s) later than it would.
    SlowHeaders,
    /// The body comes in pieces of `amount` bytes (64), each `after` (1s) the one before.
    SlowBody,
    /// `images: []`.
    EmptyImages,
    /// `amount` images (9), whatever was asked for.
    MoreImages,
    /// `has_nsfw_concepts: [true]`.
    Nsfw,
    /// Media addresses that answer 404.
    MediaMissing,
    /// Images as data URIs of at least `amount` bytes (0).
    DataUri,
    /// `timings: {}` and `has_nsfw_concepts: null`.
    NullFields,
    /// A body that ends in the middle of a value.
    BrokenJson,
    /// A header of `amount` bytes (100,000) beside the right answer.
    OversizedHeader,
    /// The answer repeats the `Authorization` header it was called with: `text` says where, `body` (also when absent),
    /// `split` (the body, cut in two in the middle of the credential), `header`, `content_type` or `error` (a 500 that
    /// names it).
    EchoAuthorization,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Then {
    /// With a reset.
    #[default]
    Reset,
    /// In an orderly way.
    Close,
    /// It does not.
    Keep,
}

/// One fault with its parameters; what each of them means is said at the [`Kind`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    #[serde(rename = "fault")]
    pub(super) kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) executed: Option<bool>,
    /// A time before the answer or between its pieces: `250ms`, `30s`. Every fault may be delayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    then: Option<Then>,
}

impl Kind {
    /// Whether the call runs before this happens to it.
    fn runs(self) -> bool {
        let refuses = matches!(
            self,
            Self::InvalidKey
                | Self::InsufficientCredits
                | Self::AccessDenied
                | Self::Suspended
                | Self::ModelNotFound
                | Self::HtmlNotFound
                | Self::PayloadTooLarge
                | Self::RateLimited
        );
        !refuses && !matches!(self, Self::Redirect | Self::BadGateway | Self::Answer | Self::Raw)
    }

    /// Whether it needs the call's own answer, so that `executed: false` would make no sense.
    fn needs_an_answer(self) -> bool {
        let replaces = matches!(self, Self::GenerationFailed | Self::PlatformTimeout | Self::ResetBeforeAnswer);
        self.runs() && !replaces
    }

    fn default_amount(self) -> u64 {
        const AMOUNTS: [(Kind, u64); 6] = [
            (Kind::RateLimited, 30),
            (Kind::Redirect, 307),
            (Kind::Answer, 503),
            (Kind::SlowBody, 64),
            (Kind::MoreImages, 9),
            (Kind::OversizedHeader, 100_000),
        ];
        AMOUNTS.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, amount)| *amount)
    }
}

impl Fault {
    /// Reads `NAME` or `NAME;after=30s;amount=3;executed=false`, the form of the request header `x-simulator-fault`.
    /// A parameter without a name is a time (`slow_headers;45s`) or an amount (`more_images;3`).
    pub(super) fn from_header(header: &str) -> Result<Self, String> {
        let mut parts = header.split(';').map(str::trim);
        let mut fields = Map::new();
        fields.insert("fault".into(), Value::from(parts.next().unwrap_or_default()));
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or_else(|| {
                let digits = part.bytes().all(|byte| byte.is_ascii_digit());
                (if digits { "amount" } else { "after" }, part)
            });
            let value = match (name, value.parse::<u64>(), value.parse::<bool>()) {
                ("amount", Ok(number), _) => Value::from(number),
                ("executed", _, Ok(flag)) => Value::from(flag),
                _ => Value::from(value),
            };
            fields.insert(name.into(), value);
        }
        let fault: Self = serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
        fault.checked()
    }

    fn checked(self) -> Result<Self, String> {
        if let Some(text) = &self.after {
            duration(text)?;
        }
        if self.kind.needs_an_answer() && self.executed == Some(false) {
            return Err("this fault needs a call that has run: it cannot have executed = false".into());
        }
        let statuses = matches!(self.kind, Kind::Answer | Kind::Redirect);
        if statuses && self.status().is_none() {
            return Err("amount must be an HTTP status from 200 to 999".into());
        }
        Ok(self)
    }

    /// Whether the call runs, as far as its key and its credits allow, before the fault.
    pub(super) fn runs(&self) -> bool {
        self.executed.unwrap_or(self.kind.runs())
    }

    pub(super) fn amount(&self) -> u64 {
        self.amount.unwrap_or(self.kind.default_amount())
    }

    /// The amount as a number of things or bytes, within reason.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.amount()).unwrap_or(usize::MAX).min(64 << 20)
    }

    pub(super) fn status(&self) -> Option<StatusCode> {
        let status = u16::try_from(self.amount()).ok().filter(|status| *status >= 200)?;
        StatusCode::from_u16(status).ok()
    }

    /// How long it waits: before the answer, or before each piece of it.
    pub(super) fn after(&self) -> Duration {
        let default = Duration::from_secs(if self.kind == Kind::SlowHeaders {
            30
        } else {
            u64::from(self.kind == Kind::SlowBody)
        });
        self.after.as_deref().and_then(|text| duration(text).ok()).unwrap_or(default)
    }

    /// How the connection ends: by a reset where nothing else is said, but a body that is cut looks like an orderly
    /// end.
    pub(super) fn then(&self) -> Then {
        let default = if self.kind == Kind::CutBody { Then::Close } else { Then::Reset };
        self.then.unwrap_or(default)
    }
}

/// Reads `50ms` or `1.5s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration such as 250ms or 30s");
    let (number, scale) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 0.001),
        (None, Some(number)) => (number, 1.0),
        (None, None) => return Err(wrong()),
    };
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * scale).ok().filter(|length| length.as_secs() <= 86_400).ok_or_else(wrong)
}

/// A fault for every call that fits, `times` times. A rule without a `path` fits generations only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prompt_contains: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x_request_id: Option<String>,
    /// The name of the key the call is made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    #[serde(flatten)]
    fault: Fault,
}

/// What a rule can look at.
#[derive(Clone, Copy, Default)]
pub(super) struct Sight<'a> {
    pub(super) path: &'a str,
    /// Set for generations.
    pub(super) model: Option<&'a str>,
    pub(super) prompt: Option<&'a str>,
    pub(super) request_id: Option<&'a str>,
    pub(super) key: Option<&'a str>,
}

/// Reads the body of `PUT /_simulator/faults`: an array of rules. The error says which rule is wrong.
pub(super) fn read_rules(body: &[u8]) -> Result<Vec<Rule>, String> {
    const OF_THE_RULE: [&str; 6] = ["path", "model", "prompt_contains", "x_request_id", "key", "times"];
    let rules: Vec<Map<String, Value>> =
        serde_json::from_slice(body).map_err(|error| format!("the body must be a JSON array of rules: {error}"))?;
    let read = |(place, fields): (usize, Map<String, Value>)| {
        let wrong = |error: String| format!("rule {place}: {error}");
        // Read in two halves: serde cannot refuse unknown fields of a flattened structure.
        let (rule, fault): (Map<_, _>, Map<_, _>) =
            fields.clone().into_iter().partition(|(name, _)| OF_THE_RULE.contains(&name.as_str()));
        drop(rule);
        let fault: Fault = serde_json::from_value(Value::Object(fault)).map_err(|error| wrong(error.to_string()))?;
        fault.checked().map_err(wrong)?;
        serde_json::from_value(Value::Object(fields)).map_err(|error| wrong(error.to_string()))
    };
    rules.into_iter().enumerate().map(read).collect()
}

/// The fault of the first rule that fits, used up once.
pub(super) fn meet(rules: &mut Vec<Rule>, sight: Sight<'_>) -> Option<Fault> {
    let place = rules.iter().position(|rule| rule.fits(sight))?;
    let rule = rules.get_mut(place)?;
    let fault = rule.fault.clone();
    if let Some(times) = &mut rule.times {
        *times = times.saturating_sub(1);
        if *times == 0 {
            rules.remove(place);
        }
    }
    Some(fault)
}

impl Rule {
    fn fits(&self, sight: Sight<'_>) -> bool {
        let same = |wanted: &Option<String>, seen: Option<&str>| wanted.is_none() || wanted.as_deref() == seen;
        let place = self.path.as_deref().map_or(sight.model.is_some(), |path| path == sight.path);
        let prompt =
            self.prompt_contains.as_deref().is_none_or(|part| sight.prompt.is_some_and(|prompt| prompt.contains(part)));
        self.times != Some(0)
            && place
            && prompt
            && same(&self.model, sight.model)
            && same(&self.x_request_id, sight.request_id)
            && same(&self.key, sight.key)
    }
}

#[cfg(test)]
#[path = "faults_tests.rs"]
mod tests;
