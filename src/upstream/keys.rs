//! Shared keys: which one a call uses, and which are in cooldown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use jiff::Timestamp;
use memchr::memmem::Finder;

use super::balance::{Balance, Drift};
use super::settings::KeySettings;
use crate::credits::Credits;
use crate::permits::KeyName;
use crate::secret::Secret;

/// Cooldown of a key that was rejected (401), or whose account is empty (402).
pub const COOLDOWN: Duration = Duration::from_secs(60);

/// Pool of shared keys, one for all workers.
pub struct KeyPool {
    keys: Vec<Arc<Key>>,
    turn: AtomicU64,
}

/// One shared key.
pub struct Key {
    /// The name.
    pub name: KeyName,
    /// `Bearer …`, marked as sensitive.
    pub authorization: HeaderValue,
    /// Finds the secret in an answer. Built once, since building it costs more than searching.
    pub tripwire: Finder<'static>,
    secret: Secret,
    weight: u32,
    cooldown: Mutex<Option<Cooldown>>,
    balance: Mutex<Option<Balance>>,
}

/// Cooldown of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cooldown {
    /// The reason.
    pub why: Why,
    /// The start: answers to calls that began earlier say nothing about the key now.
    pub since: Timestamp,
    /// The end.
    pub until: Timestamp,
}

/// Reason for a cooldown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The window is full (429).
    RateLimited,
    /// The account is empty (402).
    NoCredits,
    /// The upstream does not know it, or has suspended its account (401, 403).
    Rejected,
}

impl Why {
    /// Name for operators, in `/readyz` and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::NoCredits => "no_credits",
            Self::Rejected => "rejected",
        }
    }
}

impl KeyPool {
    /// A pool of these keys. A key with the same secret as before keeps its cooldown and its
    /// balance.
    ///
    /// # Errors
    /// The name of a key whose secret is empty or no valid header value.
    pub fn new(settings: &[KeySettings], before: Option<&Self>) -> Result<Self, String> {
        let keys = settings
            .iter()
            .map(|key| Key::new(key, before).map(Arc::new))
            .collect::<Result<_, _>>()?;
        Ok(Self { keys, turn: AtomicU64::new(0) })
    }

    /// The keys.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.iter()
    }

    /// The key with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<Key>> {
        self.keys.iter().find(|key| &*key.name == name)
    }

    /// Keys that are not in cooldown, in the order of the configuration.
    #[must_use]
    pub fn usable(&self, now: Timestamp) -> Arc<[KeyName]> {
        self.keys.iter().filter(|key| key.is_usable(now)).map(|key| Arc::clone(&key.name)).collect()
    }

    /// The same, with the next in turn by weight first.
    #[must_use]
    pub fn in_turn(&self, now: Timestamp) -> Arc<[KeyName]> {
        let first = self.next(now, &[]).map(|key| Arc::clone(&key.name));
        let others =
            self.keys.iter().filter(|key| key.is_usable(now)).map(|key| Arc::clone(&key.name));
        let others = others.filter(|name| first.as_ref() != Some(name));
        first.iter().cloned().chain(others).collect()
    }

    /// Whether any key is not in cooldown.
    pub fn has_usable(&self, now: Timestamp) -> bool {
        self.keys.iter().any(|key| key.is_usable(now))
    }

    /// The next key in turn, by weight, that is neither in cooldown nor already tried.
    pub fn next(&self, now: Timestamp, tried: &[&str]) -> Option<&Arc<Key>> {
        let usable =
            || self.keys.iter().filter(|key| key.is_usable(now) && !tried.contains(&&*key.name));
        let weights: u64 = usable().map(|key| u64::from(key.weight)).sum();
        if weights == 0 {
            return usable().next();
        }
        let mut place = self.turn.fetch_add(1, Ordering::Relaxed) % weights;
        usable().find(|key| {
            let here = place < u64::from(key.weight);
            place = place.saturating_sub(u64::from(key.weight));
            here
        })
    }

    /// Why no key can be used: the cooldown that ends first.
    pub fn current_cooldown(&self, now: Timestamp) -> Option<Cooldown> {
        self.keys
            .iter()
            .filter_map(|key| key.current_cooldown(now))
            .min_by_key(|cooldown| (cooldown.why, cooldown.until))
    }
}

impl Key {
    fn new(settings: &KeySettings, before: Option<&KeyPool>) -> Result<Self, String> {
        if settings.secret.expose().is_empty() {
            return Err(settings.name.clone());
        }
        let bearer = format!("Bearer {}", settings.secret.expose());
        let mut authorization = HeaderValue::try_from(bearer).map_err(|_| settings.name.clone())?;
        authorization.set_sensitive(true);
        let same = |key: &&Arc<Self>| *key.name == *settings.name && key.secret == settings.secret;
        let before = before.and_then(|pool| pool.keys.iter().find(same));
        Ok(Self {
            name: settings.name.as_str().into(),
            authorization,
            tripwire: Finder::new(settings.secret.expose().as_bytes()).into_owned(),
            secret: settings.secret.clone(),
            weight: settings.weight,
            cooldown: Mutex::new(before.and_then(|key| *key.lock_cooldown())),
            balance: Mutex::new(before.and_then(|key| key.balance())),
        })
    }

    /// Starts a cooldown, unless the key has a graver or longer one.
    pub fn cool_down(&self, cooldown: Cooldown) {
        let mut current = self.lock_cooldown();
        let outlasts = |old: &Cooldown| {
            cooldown.since < old.until && (old.why, old.until) >= (cooldown.why, cooldown.until)
        };
        if !current.as_ref().is_some_and(outlasts) {
            *current = Some(cooldown);
        }
    }

    /// Notes that a call which began at this time was executed with the key. Ends a cooldown that
    /// had started by then; returns whether it did.
    pub fn works(&self, began: Timestamp) -> bool {
        self.lock_cooldown().take_if(|cooldown| cooldown.since < began).is_some()
    }

    /// Whether the upstream accepts calls with it, now or in its next window.
    pub fn is_accepted(&self, now: Timestamp) -> bool {
        self.current_cooldown(now).is_none_or(|cooldown| cooldown.why == Why::RateLimited)
    }

    /// Whether the balance may be read with it: it is not known to be rejected.
    pub fn may_be_asked_for_its_balance(&self, now: Timestamp) -> bool {
        self.current_cooldown(now).is_none_or(|cooldown| cooldown.why != Why::Rejected)
    }

    /// Whether it is in cooldown because its account is empty.
    pub fn is_empty(&self, now: Timestamp) -> bool {
        self.current_cooldown(now).is_some_and(|cooldown| cooldown.why == Why::NoCredits)
    }

    /// Notes that its account has credits. Ends a cooldown for having none; returns whether it did.
    pub fn has_credits_again(&self) -> bool {
        self.lock_cooldown().take_if(|cooldown| cooldown.why == Why::NoCredits).is_some()
    }

    /// The balance of its account as last read; `None` when it never was.
    pub fn balance(&self) -> Option<Balance> {
        *self.balance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes its account's balance. `drift` is `None` when the count starts again.
    pub fn note_balance(&self, credits: Credits, drift: Option<Drift>, at: Timestamp) {
        let mut balance = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        let since = drift.and(*balance).map_or(at, |before| before.since);
        *balance = Some(Balance { credits, drift: drift.unwrap_or_default(), since, at });
    }

    fn is_usable(&self, now: Timestamp) -> bool {
        self.current_cooldown(now).is_none()
    }

    /// The weight relative to the other keys.
    pub const fn weight(&self) -> u32 {
        self.weight
    }

    /// The current cooldown.
    pub fn current_cooldown(&self, now: Timestamp) -> Option<Cooldown> {
        self.lock_cooldown().filter(|cooldown| now < cooldown.until)
    }

    fn lock_cooldown(&self) -> MutexGuard<'_, Option<Cooldown>> {
        self.cooldown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permits::Allowance;

    fn key(name: &str, weight: u32) -> KeySettings {
        KeySettings {
            name: name.to_owned(),
            secret: Secret::new(&format!("secret-of-{name}")),
            weight,
            limits: Allowance::default(),
        }
    }

    fn names(pool: &KeyPool, now: Timestamp, calls: usize) -> Vec<String> {
        (0..calls).filter_map(|_| pool.next(now, &[])).map(|key| key.name.to_string()).collect()
    }

    fn cooldown(why: Why, since: Timestamp) -> Cooldown {
        Cooldown { why, since, until: since + COOLDOWN }
    }

    #[test]
    fn only_a_call_that_began_later_ends_a_cooldown() {
        let (now, second) = (Timestamp::UNIX_EPOCH, Duration::from_secs(1));
        let pool = KeyPool::new(&[key("a", 1)], None).expect("a pool");
        let key = pool.next(now, &[]).expect("a");
        key.cool_down(cooldown(Why::RateLimited, now + second));
        assert!(!key.works(now), "it was under way before");
        assert!(pool.next(now + second, &[]).is_none());
        assert!(key.works(now + second * 2));
        assert!(pool.next(now + second * 2, &[]).is_some());
    }

    /// A full window alone is no fault of the key.
    #[test]
    fn a_key_cools_down_for_its_gravest_reason() {
        let now = Timestamp::UNIX_EPOCH;
        let pool = KeyPool::new(&[key("a", 1)], None).expect("a pool");
        let key = pool.next(now, &[]).expect("a");
        key.cool_down(cooldown(Why::RateLimited, now));
        assert!(key.is_accepted(now));
        key.cool_down(cooldown(Why::Rejected, now));
        key.cool_down(cooldown(Why::RateLimited, now));
        assert!(!key.is_accepted(now));
    }

    #[test]
    fn a_balance_that_returns_ends_only_the_no_credits_cooldown() {
        let now = Timestamp::UNIX_EPOCH;
        let pool = KeyPool::new(&[key("a", 1)], None).expect("a pool");
        let key = pool.named("a").expect("a");
        key.cool_down(cooldown(Why::NoCredits, now));
        assert!(key.is_empty(now) && key.may_be_asked_for_its_balance(now));
        assert!(key.has_credits_again() && !key.has_credits_again());
        assert!(pool.next(now, &[]).is_some());
        key.cool_down(cooldown(Why::Rejected, now));
        assert!(!key.has_credits_again() && !key.may_be_asked_for_its_balance(now));
    }

    #[test]
    fn calls_are_shared_out_by_weight() {
        let pool = KeyPool::new(&[key("a", 3), key("b", 1)], None).expect("a pool");
        let names = names(&pool, Timestamp::UNIX_EPOCH, 400);
        assert_eq!(names.iter().filter(|name| *name == "b").count(), 100);
    }

    #[test]
    fn a_key_in_cooldown_stays_unused_despite_reloads() {
        let now = Timestamp::UNIX_EPOCH;
        let pool = KeyPool::new(&[key("a", 1), key("b", 1)], None).expect("a pool");
        pool.next(now, &["b"]).expect("a").cool_down(cooldown(Why::Rejected, now));
        let reloaded = KeyPool::new(&[key("a", 1), key("b", 1)], Some(&pool)).expect("a pool");
        assert_eq!(names(&reloaded, now, 2), ["b", "b"]);
        assert!(names(&reloaded, now + COOLDOWN, 2).contains(&"a".to_owned()));
    }

    #[test]
    fn keys_are_offered_in_turn_without_those_in_cooldown() {
        let now = Timestamp::UNIX_EPOCH;
        let pool = KeyPool::new(&[key("a", 1), key("b", 1), key("c", 1)], None).expect("a pool");
        let offered = |pool: &KeyPool| {
            pool.in_turn(now).iter().map(ToString::to_string).collect::<Vec<_>>().concat()
        };
        assert_eq!([offered(&pool), offered(&pool), offered(&pool)], ["abc", "bac", "cab"]);
        pool.named("b").expect("b").cool_down(cooldown(Why::NoCredits, now));
        assert_eq!([offered(&pool), offered(&pool)], ["ca", "ac"]);
        assert_eq!(pool.usable(now).len(), 2);
    }

    #[test]
    fn a_key_already_tried_is_not_tried_again() {
        let pool = KeyPool::new(&[key("a", 1), key("b", 1)], None).expect("a pool");
        assert!(pool.next(Timestamp::UNIX_EPOCH, &["a", "b"]).is_none());
    }
}
