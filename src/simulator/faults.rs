//! Faults: their kinds, how a header or a rule selects one, and which rule applies to a call.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Kinds of faults. The first group answers in place of the call: nothing is executed, counted or
/// charged, unless `executed` is set. The second group affects a call that was executed.
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
    /// Writes `text` to the socket as it is, outside HTTP; then ends the connection as `then` says.
    Raw,

    /// 500; `text` is the reason (`timeout`). Charged or not as the simulator's `--charge` says.
    GenerationFailed,
    /// 504 in plain text: the platform killed the call.
    PlatformTimeout,
    /// The connection ends before the answer.
    ResetBeforeAnswer,
    /// The connection ends after the answer's headers.
    ResetAfterHeaders,
    /// The connection ends within the body.
    CutBody,
    /// The right answer on a connection that then closes without announcing it.
    CloseAfterAnswer,
    /// The call runs until `POST /_simulator/release`, so that a test can be sure that it is
    /// running.
    Hold,
    /// The answer starts `after` (30s) late.
    SlowHeaders,
    /// The body comes in pieces of `amount` bytes (64), one every `after` (1s).
    SlowBody,
    /// `images: []`.
    EmptyImages,
    /// `amount` images (9), whatever was ordered.
    MoreImages,
    /// `has_nsfw_concepts: [true]`.
    Nsfw,
    /// Media addresses that are 404.
    MediaMissing,
    /// Images as data URIs of at least `amount` bytes (0).
    DataUri,
    /// `timings: {}` and `has_nsfw_concepts: null`.
    NullFields,
    /// A body that ends within a value.
    BrokenJson,
    /// An extra header of `amount` bytes (100,000).
    OversizedHeader,
    /// Repeats the request's `Authorization` header: `text` says where, `body` (also when absent),
    /// `split` (in two parts of the body), `header`, `content_type` or `error` (a 500 that contains
    /// it).
    EchoAuthorization,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Then {
    /// Ends it with a reset.
    #[default]
    Reset,
    /// Ends it in an orderly way.
    Close,
    /// Does not end.
    Keep,
}

/// A fault with its parameters, which [`Kind`] explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    #[serde(rename = "fault")]
    pub(super) kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) executed: Option<bool>,
    /// Delay before the answer or between its pieces: `250ms`, `30s`. Every fault may be delayed.
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
    /// Whether the call is executed first.
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

    /// Whether it needs the call's own answer, so that `executed: false` makes no sense.
    fn needs_an_answer(self) -> bool {
        let replaces = matches!(
            self,
            Self::GenerationFailed | Self::PlatformTimeout | Self::ResetBeforeAnswer
        );
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
    /// Parses `NAME` or `NAME;after=30s;amount=3;executed=false`, the form of the request header
    /// `x-simulator-fault`. A parameter without a name is a time (`slow_headers;45s`) or an amount
    /// (`more_images;3`).
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
        let fault: Self =
            serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
        fault.checked()
    }

    fn checked(self) -> Result<Self, String> {
        if let Some(text) = &self.after {
            duration(text)?;
        }
        if self.kind.needs_an_answer() && self.executed == Some(false) {
            return Err(
                "this fault needs a call that has run: it cannot have executed = false".into()
            );
        }
        let statuses = matches!(self.kind, Kind::Answer | Kind::Redirect);
        if statuses && self.status().is_none() {
            return Err("amount must be an HTTP status from 200 to 999".into());
        }
        Ok(self)
    }

    /// Whether the call is executed first, if its key and credits allow it.
    pub(super) fn runs(&self) -> bool {
        self.executed.unwrap_or(self.kind.runs())
    }

    pub(super) fn amount(&self) -> u64 {
        self.amount.unwrap_or(self.kind.default_amount())
    }

    /// The amount as a number of things or bytes, capped.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.amount()).unwrap_or(usize::MAX).min(64 << 20)
    }

    pub(super) fn status(&self) -> Option<StatusCode> {
        let status = u16::try_from(self.amount()).ok().filter(|status| *status >= 200)?;
        StatusCode::from_u16(status).ok()
    }

    /// The delay before the answer, or before each piece of it.
    pub(super) fn after(&self) -> Duration {
        let default = Duration::from_secs(if self.kind == Kind::SlowHeaders {
            30
        } else {
            u64::from(self.kind == Kind::SlowBody)
        });
        self.after.as_deref().and_then(|text| duration(text).ok()).unwrap_or(default)
    }

    /// How the connection ends: by default with a reset, but a cut body looks like a clean end.
    pub(super) fn then(&self) -> Then {
        let default = if self.kind == Kind::CutBody { Then::Close } else { Then::Reset };
        self.then.unwrap_or(default)
    }
}

/// Parses `50ms` or `1.5s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration such as 250ms or 30s");
    let (number, scale) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 0.001),
        (None, Some(number)) => (number, 1.0),
        (None, None) => return Err(wrong()),
    };
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * scale)
        .ok()
        .filter(|length| length.as_secs() <= 86_400)
        .ok_or_else(wrong)
}

/// A fault for the next `times` matching calls. A rule without a `path` matches generations only.
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
    /// Name of the call's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    #[serde(flatten)]
    fault: Fault,
}

/// Properties of a call that rules match.
#[derive(Clone, Copy, Default)]
pub(super) struct Sight<'a> {
    pub(super) path: &'a str,
    /// Set for generations.
    pub(super) model: Option<&'a str>,
    pub(super) prompt: Option<&'a str>,
    pub(super) request_id: Option<&'a str>,
    pub(super) key: Option<&'a str>,
}

/// Parses the body of `PUT /_simulator/faults`: an array of rules. The error says which rule is
/// wrong.
pub(super) fn read_rules(body: &[u8]) -> Result<Vec<Rule>, String> {
    const OF_THE_RULE: [&str; 6] =
        ["path", "model", "prompt_contains", "x_request_id", "key", "times"];
    let rules: Vec<Map<String, Value>> = serde_json::from_slice(body)
        .map_err(|error| format!("the body must be a JSON array of rules: {error}"))?;
    let read = |(place, fields): (usize, Map<String, Value>)| {
        let wrong = |error: String| format!("rule {place}: {error}");
        // Parsed in two halves: serde cannot reject unknown fields of a flattened struct.
        let (rule, fault): (Map<_, _>, Map<_, _>) =
            fields.clone().into_iter().partition(|(name, _)| OF_THE_RULE.contains(&name.as_str()));
        drop(rule);
        let fault: Fault = serde_json::from_value(Value::Object(fault))
            .map_err(|error| wrong(error.to_string()))?;
        fault.checked().map_err(wrong)?;
        serde_json::from_value(Value::Object(fields)).map_err(|error| wrong(error.to_string()))
    };
    rules.into_iter().enumerate().map(read).collect()
}

/// The fault of the first matching rule, used up once.
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
        let same = |expected: &Option<String>, seen: Option<&str>| {
            expected.is_none() || expected.as_deref() == seen
        };
        let place = self.path.as_deref().map_or(sight.model.is_some(), |path| path == sight.path);
        let prompt = self
            .prompt_contains
            .as_deref()
            .is_none_or(|part| sight.prompt.is_some_and(|prompt| prompt.contains(part)));
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
