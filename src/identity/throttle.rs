//! Throttle of failed credentials: guessing from a network gets slow and is then refused, without
//! affecting others.
//!
//! It counts networks: an IPv4 address, or the /64 of one IPv6 subscriber. The table is small,
//! hashed with a secret seed, and never evicts a network that is being throttled: when a shelf is
//! full of those, a new network is not counted and so not throttled. So attackers with many
//! addresses can neither evict each other nor lock anyone out.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shelves of the table. Each has its own lock and holds up to [`PLACES`] networks: 16,384 in all,
/// about 1 MiB.
const SHELVES: usize = 2048;
const PLACES: usize = 8;

/// Most credentials of a refused network that are verified at once: enough that a good one gets
/// through, few enough that they do not fill the pool.
const LOOKED_AT_MAX: u32 = 8;

/// How failures are throttled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many failures of one network get their own refusal, the second half of them slowly.
    pub failures: u32,
    /// How long until all failures are forgotten, one after the other.
    pub within: Duration,
    /// How long a slow answer is delayed.
    pub slow_by: Duration,
    /// How long failures get 429 after there were too many.
    pub refuse_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            failures: 30,
            within: minute,
            slow_by: Duration::from_millis(250),
            refuse_for: minute,
        }
    }
}

/// The network that a request comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

/// How to answer a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Answered at once with its own refusal.
    AtOnce,
    /// Answered with its own refusal after a delay.
    Slowly,
    /// Answered 429, for this time.
    Refused(Duration),
}

/// Whether an unknown credential may be verified now.
pub(super) enum Entry {
    /// The network is not refused.
    Free,
    /// The network's failures are refused, but this credential may be good.
    Held(Ticket),
    /// The same, and as many as allowed are being verified already.
    Busy,
}

/// A credential of a refused network that is being verified.
pub(super) struct Ticket {
    throttle: Throttle,
    network: Network,
}

/// Failures of networks, over all workers and across reloads. Clones share state.
#[derive(Clone)]
pub struct Throttle(Arc<Table>);

struct Table {
    /// Whose credentials these are, for the log.
    whose: &'static str,
    shelves: Vec<Mutex<Vec<HeldBack>>>,
    seed: RandomState,
}

/// State of a network; times are those of [`crate::clock::Clock::elapsed`].
struct HeldBack {
    network: Network,
    /// When all its failures are forgotten.
    forgotten: Duration,
    /// Until when further failures are refused.
    refused_until: Duration,
    /// How many of its credentials are being verified although it is refused.
    looked_at: u32,
}

impl HeldBack {
    fn is_over(&self, now: Duration) -> bool {
        self.forgotten <= now && self.refused_until <= now && self.looked_at == 0
    }
}

impl Throttle {
    /// An empty throttle. The log names whose credentials failed.
    #[must_use]
    pub fn new(whose: &'static str) -> Self {
        let shelves = (0..SHELVES).map(|_| Mutex::default()).collect();
        Self(Arc::new(Table { whose, shelves, seed: RandomState::new() }))
    }

    /// Called before an unknown credential is verified.
    pub(super) fn enter(&self, network: Network, now: Duration) -> Entry {
        let mut shelf = self.shelf(network);
        match shelf.iter_mut().find(|held| held.network == network && held.refused_until > now) {
            None => Entry::Free,
            Some(held) if held.looked_at >= LOOKED_AT_MAX => Entry::Busy,
            Some(held) => {
                held.looked_at += 1;
                Entry::Held(Ticket { throttle: self.clone(), network })
            }
        }
    }

    /// Counts a failure. Returns how to answer it.
    #[must_use]
    pub fn failed(&self, network: Network, settings: &Settings, now: Duration) -> Answered {
        let mut shelf = self.shelf(network);
        let Some(held) = place(&mut shelf, network, now) else { return Answered::AtOnce };
        if held.refused_until > now {
            return Answered::Refused(held.refused_until - now);
        }
        let each = settings.within / settings.failures.max(1);
        held.forgotten = held.forgotten.max(now) + each;
        let failures = (held.forgotten - now).as_nanos().div_ceil(each.as_nanos().max(1));
        if failures > u128::from(settings.failures) {
            held.forgotten = now;
            held.refused_until = now + settings.refuse_for;
            tracing::warn!(
                from = %network,
                whose = self.0.whose,
                "too many credentials failed: its failures are refused for a while"
            );
            Answered::Refused(settings.refuse_for)
        } else if failures * 2 > u128::from(settings.failures) {
            Answered::Slowly
        } else {
            Answered::AtOnce
        }
    }

    fn shelf(&self, network: Network) -> MutexGuard<'_, Vec<HeldBack>> {
        let Table { shelves, seed, .. } = &*self.0;
        // The cast drops only bits that the remainder drops too.
        #[allow(clippy::cast_possible_truncation, clippy::indexing_slicing)]
        let shelf = &shelves[seed.hash_one(network) as usize % SHELVES];
        shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut shelf = self.throttle.shelf(self.network);
        if let Some(held) = shelf.iter_mut().find(|held| held.network == self.network) {
            held.looked_at = held.looked_at.saturating_sub(1);
        }
    }
}

/// Finds a network's place on a shelf: its own, a new one, or that of a network that is no longer
/// throttled.
fn place(shelf: &mut Vec<HeldBack>, network: Network, now: Duration) -> Option<&mut HeldBack> {
    let known = shelf.iter().position(|held| held.network == network);
    let free = || shelf.iter().position(|held| held.is_over(now));
    let new = || HeldBack { network, forgotten: now, refused_until: now, looked_at: 0 };
    match known.map(|at| (at, true)).or_else(|| free().map(|at| (at, false))) {
        Some((at, is_known)) => {
            let held = shelf.get_mut(at)?;
            if !is_known {
                *held = new();
            }
            Some(held)
        }
        None if shelf.len() < PLACES => {
            shelf.push(new());
            shelf.last_mut()
        }
        None => None,
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
            }
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "throttle of up to {} networks", SHELVES * PLACES)
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
