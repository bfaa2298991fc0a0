//! Settings of a simulator, with a choice for everything that Firemoon leaves undocumented.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::clock::Clock;
use crate::credits::Credits;

/// The key that it takes when none is chosen.
pub const TEST_KEY: &str = "test_key_12345";

/// Settings of a simulator. The default has the two keys of Firemoon's old documentation,
/// documented latencies, and the platform's answers.
#[derive(Clone)]
pub struct Settings {
    /// Accepted keys.
    pub keys: Vec<KeySettings>,
    /// Balance of every account at the start.
    pub balance: Credits,
    /// One latency for all models; `None` takes each model's documented one.
    pub latency: Option<Latency>,
    /// Prices that replace the built-in ones: model id, and credits per image or per second of
    /// video.
    pub prices: Vec<(String, Credits)>,
    /// When a generation is charged, and whether a failed one is refunded.
    pub charge: Charge,
    /// Who may read `/api/generations` and `/api/usage`.
    pub history: History,
    /// The shape of `/api/credits/balance`.
    pub balance_shape: BalanceShape,
    /// The shape of `/api/models`.
    pub list_shape: ListShape,
    /// Whether a 429 has `Retry-After`.
    pub retry_after: bool,
    /// Whether reading endpoints count in a key's limits too.
    pub reads_count: bool,
    /// Whether unknown paths, wrong methods, extra slashes and oversized bodies get the platform's
    /// answers (HTML 404, empty 405, 308, text 413) or plain JSON errors.
    pub platform_answers: bool,
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// How long a generation may take before the platform answers 504 instead.
    pub time_out: Duration,
    /// Most calls kept in detail; the totals cover all.
    pub calls_max: usize,
    /// Public address of the media host, if it differs from its listener's. Without a trailing
    /// slash.
    pub media_url: Option<String>,
    /// TLS for the API; the media host stays plain. Must offer `h2` and `http/1.1` by ALPN.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Clock of limits and histories.
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
    /// Displayed name; the secret is never shown.
    pub name: String,
    /// The bearer.
    pub secret: SecretString,
    /// The account that pays; keys with the same account share its balance.
    pub account: String,
    /// The limits.
    pub limits: Limits,
    /// Providers it may use (`flux`, `ideogram`, …); `None` means all.
    pub providers: Option<Vec<String>>,
}

impl KeySettings {
    /// A key with its own account, for all providers.
    #[must_use]
    pub fn new(name: &str, secret: &str, limits: Limits) -> Self {
        Self {
            name: name.into(),
            secret: SecretString::from(secret),
            account: name.into(),
            limits,
            providers: None,
        }
    }

    /// The two keys in Firemoon's old documentation.
    #[must_use]
    pub fn documented() -> Vec<Self> {
        let test = Self::new("test", TEST_KEY, Limits::PRO);
        let mut demo =
            Self::new("demo", "demo_key_67890", Limits { per_minute: Some(30), ..Limits::PRO });
        demo.providers = Some(vec!["flux".into(), "ideogram".into()]);
        vec![test, demo]
    }
}

/// Limits of a key in wall-clock windows (UTC); `None` is no limit.
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
    pub const PRO: Self =
        Self { per_minute: Some(60), per_day: Some(1_000), per_month: Some(10_000) };
    /// No limit at all.
    pub const NONE: Self = Self { per_minute: None, per_day: None, per_month: None };
}

/// Latency of a generation: uniformly distributed between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The shortest.
    pub from: Duration,
    /// The longest.
    pub to: Duration,
}

impl Latency {
    /// A fixed latency.
    #[must_use]
    pub const fn fixed(length: Duration) -> Self {
        Self { from: length, to: length }
    }

    pub(super) const fn seconds(from: u64, to: u64) -> Self {
        Self { from: Duration::from_secs(from), to: Duration::from_secs(to) }
    }

    /// A latency between the two, chosen by `draw`: the same number gives the same one.
    pub(super) fn drawn(self, draw: u64) -> Duration {
        let span = u64::try_from(self.to.saturating_sub(self.from).as_millis()).unwrap_or(u64::MAX);
        self.from
            + Duration::from_millis(if span == 0 { 0 } else { draw % (span.saturating_add(1)) })
    }
}

/// When a generation is charged. Firemoon does not document it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Charge {
    /// Once it has succeeded.
    OnSuccess,
    /// Before it runs, refunded when it fails (but not when the platform kills it, since nothing is
    /// left to do so).
    BeforeAndRefund,
    /// Before it runs, and never refunded.
    BeforeAndKeep,
}

/// Who may read the history endpoints. Firemoon's documentation and code are said to differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum History {
    /// A key may.
    Key,
    /// A browser session of the dashboard: a key gets 401.
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
