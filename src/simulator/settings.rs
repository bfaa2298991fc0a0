//! What a simulator is started with: its keys, its money, its pace, and a choice for everything Firemoon leaves
//! undocumented.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::clock::Clock;
use crate::credits::Credits;

/// Everything that can be chosen about a simulator. `Settings::default()` has the two keys of Firemoon's old
/// documentation, the documented latencies, and the platform's own answers.
#[derive(Clone)]
pub struct Settings {
    /// The keys that are accepted.
    pub keys: Vec<KeySettings>,
    /// What every account starts with.
    pub balance: Credits,
    /// One pace for all models; `None` takes each model's documented latency.
    pub latency: Option<Latency>,
    /// Prices that replace the built-in ones: model id and credits per image, or per second of video.
    pub prices: Vec<(String, Credits)>,
    /// When a generation is charged, and whether a failed one is paid back.
    pub charge: Charge,
    /// Who may read `/api/generations` and `/api/usage`.
    pub history: History,
    /// The shape of `/api/credits/balance`.
    pub balance_shape: BalanceShape,
    /// The shape of `/api/models`.
    pub list_shape: ListShape,
    /// Whether a 429 carries `Retry-After`.
    pub retry_after: bool,
    /// Whether reading endpoints use up a key's limits, as generations do.
    pub reads_count: bool,
    /// Whether unknown paths, wrong methods, slashes too many and oversized bodies get the answers of the hosting
    /// platform (HTML 404, empty 405, 308, text 413) or plain JSON errors.
    pub platform_answers: bool,
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// How long a generation may take before the platform answers 504 in its place.
    pub time_out: Duration,
    /// How many calls the books keep in detail; the sums cover all of them.
    pub calls_max: usize,
    /// The media host's public address, when it is not the address it listens on. No slash at the end.
    pub media_url: Option<String>,
    /// Set to serve the API over TLS; the media host stays plain. Must offer `h2` and `http/1.1` by ALPN.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The clock that limits and histories go by.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keys: KeySettings::documented(),
            balance: Credits::from_micros(100_000_000),
            latency: None,
            prices: Vec::new(),
            charge: Charge::OnSuccess,
            history: History::Key,
            balance_shape: BalanceShape::Flat,
            list_shape: ListShape::Flat,
            retry_after: false,
            reads_count: false,
            platform_answers: true,
            body_bytes_max: 4_500_000,
            time_out: Duration::from_secs(300),
            calls_max: 100_000,
            media_url: None,
            tls: None,
            clock: Clock::system(),
        }
    }
}

/// One accepted key.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// What the books call it; the secret itself is never shown.
    pub name: String,
    /// The bearer.
    pub secret: SecretString,
    /// The account whose credits it spends; keys with the same account share one balance.
    pub account: String,
    /// How many calls it may make.
    pub limits: Limits,
    /// The providers it may use (`flux`, `ideogram`, …); `None` means all.
    pub providers: Option<Vec<String>>,
}

impl KeySettings {
    /// A key with its own account, for all providers.
    #[must_use]
    pub fn new(name: &str, secret: &str, limits: Limits) -> Self {
        Self { name: name.into(), secret: SecretString::from(secret), account: name.into(), limits, providers: None }
    }

    /// The two keys that Firemoon's old documentation named.
    #[must_use]
    pub fn documented() -> Vec<Self> {
        let test = Self::new("test", "test_key_12345", Limits::PRO);
        let mut demo = Self::new("demo", "demo_key_67890", Limits { per_minute: Some(30), ..Limits::PRO });
        demo.providers = Some(vec!["flux".into(), "ideogram".into()]);
        vec![test, demo]
    }
}

/// How many calls a key may make in each wall-clock window (UTC); `None` means any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls in one minute of the wall clock.
    pub per_minute: Option<u64>,
    /// Calls in one day.
    pub per_day: Option<u64>,
    /// Calls in one month.
    pub per_month: Option<u64>,
}

impl Limits {
    /// Firemoon's Pro plan.
    pub const PRO: Self = Self { per_minute: Some(60), per_day: Some(1_000), per_month: Some(10_000) };
    /// No limit at all.
    pub const NONE: Self = Self { per_minute: None, per_day: None, per_month: None };
}

/// How long a generation takes: drawn evenly between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The shortest.
    pub from: Duration,
    /// The longest.
    pub to: Duration,
}

impl Latency {
    /// Always the same.
    #[must_use]
    pub const fn fixed(length: Duration) -> Self {
        Self { from: length, to: length }
    }

    pub(super) const fn seconds(from: u64, to: u64) -> Self {
        Self { from: Duration::from_secs(from), to: Duration::from_secs(to) }
    }

    /// A length between the two, chosen by `draw`: any number gives one, the same number the same one.
    pub(super) fn drawn(self, draw: u64) -> Duration {
        let span = u64::try_from(self.to.saturating_sub(self.from).as_millis()).unwrap_or(u64::MAX);
        self.from + Duration::from_millis(if span == 0 { 0 } else { draw % (span.saturating_add(1)) })
    }
}

/// When a generation is charged. Firemoon does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Charge {
    /// Once it has succeeded.
    OnSuccess,
    /// Before it runs, paid back when it fails (but not when the platform kills it half-way: nobody is left to do it).
    BeforeAndRefund,
    /// Before it runs, and kept whatever happens.
    BeforeAndKeep,
}

/// Who may read the history endpoints. Firemoon's documentation and its code are said to disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum History {
    /// A key may.
    Key,
    /// Only the browser session of the dashboard: a key gets 401.
    Session,
}

/// The undocumented shape of the balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BalanceShape {
    /// `{"balance": 99.975}`
    Flat,
    /// `{"credits": {"balance": "99.975", "currency": "USD"}}`
    Nested,
}

/// The undocumented shape of the list of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ListShape {
    /// `[{"id": "flux/dev", "pricing": {"credits": 0.025, "unit": "image"}}]`
    Flat,
    /// `{"models": [{"modelId": "flux/dev", "billing": {"amount": "0.025", "for": "image"}}]}`
    Nested,
}
