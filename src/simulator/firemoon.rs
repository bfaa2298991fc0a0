//! The simulated Firemoon: all its state, behind one lock that is never held while waiting.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use http::{HeaderMap, header};
use jiff::Timestamp;
use tokio::sync::watch;

use super::account::{self, Account, Key};
use super::answers::{self, Answer};
use super::call_log::{CallLog, Caller};
use super::faults::Rule;
use super::history::Generation;
use super::models::Model;
use super::settings::Settings;
use crate::credits::Credits;

/// One Firemoon.
pub(super) struct Firemoon {
    pub(super) settings: Settings,
    prices: HashMap<String, Credits>,
    state: Mutex<State>,
    draws: AtomicU64,
    media_url: OnceLock<String>,
    /// Counts releases of held calls.
    releases: watch::Sender<u64>,
}

/// State that changes at run time.
pub(super) struct State {
    pub(super) keys: Vec<Key>,
    pub(super) accounts: Vec<Account>,
    /// Generations of each account, latest last.
    pub(super) histories: Vec<VecDeque<Generation>>,
    pub(super) call_log: CallLog,
    pub(super) rules: Vec<Rule>,
    /// Calls that wait for a release.
    pub(super) held: u64,
}

impl Firemoon {
    pub(super) fn new(settings: Settings) -> Self {
        let state = State::new(&settings, CallLog::new(settings.calls_max));
        Self {
            prices: settings.prices.iter().cloned().collect(),
            state: Mutex::new(state),
            draws: AtomicU64::new(0),
            media_url: OnceLock::new(),
            releases: watch::Sender::new(0),
            settings,
        }
    }

    /// The state. After a panic it is still readable, if perhaps incomplete.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// A new number, spread over 64 bits, in the same sequence in every run.
    pub(super) fn draw(&self) -> u64 {
        // splitmix64: the finalizer's constants are Steele, Lea and Flood's (OOPSLA 2014).
        let mut mixed = self
            .draws
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Price of one image or second of a model.
    pub(super) fn price(&self, model: &Model) -> Credits {
        self.prices.get(model.id).copied().unwrap_or(model.price)
    }

    /// Sets the address of the media host; only the first call counts.
    pub(super) fn set_media_url(&self, url: String) {
        let url = self.settings.media_url.clone().unwrap_or(url);
        self.media_url.get_or_init(|| url);
    }

    /// Public address of a media path.
    pub(super) fn media(&self, path: &str) -> String {
        format!("{}/generated/{path}", self.media_url.get().map_or("", String::as_str))
    }

    /// Waits for the next release. A test that has seen this call among the held ones is sure to
    /// release it.
    pub(super) async fn hold(&self) {
        let mut releases = self.releases.subscribe();
        self.state().held += 1;
        // The sender lives as long as `self`.
        let _ = releases.changed().await;
        let mut state = self.state();
        state.held = state.held.saturating_sub(1);
    }

    /// Releases all held calls.
    pub(super) fn release(&self) {
        self.releases.send_modify(|count| *count += 1);
    }

    /// Resets everything: call log, faults, balances, limits, suspensions, histories. Held calls go
    /// on.
    pub(super) fn reset(&self) {
        self.release();
        let mut state = self.state();
        let mut call_log = std::mem::replace(&mut state.call_log, CallLog::new(1));
        call_log.clear();
        *state = State::new(&self.settings, call_log);
    }
}

impl State {
    fn new(settings: &Settings, call_log: CallLog) -> Self {
        let (keys, accounts) = account::open(settings);
        Self {
            histories: accounts.iter().map(|_| VecDeque::new()).collect(),
            keys,
            accounts,
            call_log,
            rules: Vec::new(),
            held: 0,
        }
    }

    /// The caller by a request's credential.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Caller {
        let Some(credential) = headers.get(header::AUTHORIZATION) else { return Caller::Nobody };
        let bearer = credential.to_str().ok().and_then(|text| text.split_once(' '));
        let secret = bearer
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| secret.trim());
        let key = secret.and_then(|secret| self.keys.iter().position(|key| key.is(secret)));
        key.map_or(Caller::Unknown, Caller::Key)
    }

    pub(super) fn key(&self, caller: Caller) -> Option<&Key> {
        match caller {
            Caller::Key(place) => self.keys.get(place),
            Caller::Nobody | Caller::Unknown => None,
        }
    }

    /// Adds the key's `X-RateLimit-*` to an answer. Callers without a key have no limits.
    pub(super) fn allow(&mut self, answer: &mut Answer, caller: Caller, now: Timestamp) {
        let Caller::Key(place) = caller else { return };
        if let Some(allowance) = self.keys.get_mut(place).and_then(|key| key.allowance(now)) {
            answers::allow(answer, allowance);
        }
    }
}
