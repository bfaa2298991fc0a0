//! Limits on cache misses: how often strangers may cause a request to the upstream, per network and
//! in all.
//!
//! Token buckets with fixed sizes: large enough for every page of the largest catalogue, so that
//! only abuse exceeds them. The table of networks is bounded; a network that finds no place is
//! limited only by the common bucket.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::refusal::Refusal;

/// Most networks in the table.
const NETWORKS_MAX: usize = 4096;

/// A token bucket, stored as the time at which it is full again (GCRA).
struct Bucket {
    /// How many requests may come at once.
    burst: u32,
    /// How long until one more may come.
    each: Duration,
}

/// Requests of one network for models that may not exist, while the list of models cannot be read.
const GUESSES: Bucket = Bucket { burst: 10, each: Duration::from_secs(6) };
/// All requests to the upstream.
const ALL: Bucket = Bucket { burst: 300, each: Duration::from_millis(200) };

/// When buckets are full again, by the clock's elapsed time, over all workers. Clones share state.
#[derive(Clone, Default)]
pub struct Misses(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    all: Duration,
    networks: HashMap<IpAddr, Duration>,
}

/// Too many requests.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    /// Too many from this network, and the time until the next may come.
    Network(Duration),
    /// Too many in all.
    All,
}

impl Misses {
    /// Takes a request from the common bucket.
    ///
    /// # Errors
    /// `overloaded`: it is empty.
    pub(super) fn take(&self, now: Duration) -> Result<(), Refusal> {
        let mut inside = self.lock();
        inside.all = ALL.taken(inside.all, now).map_err(|_| Refusal::Overloaded)?;
        Ok(())
    }

    /// Takes a request from the common bucket and from the bucket of this address's network; from
    /// both or neither.
    pub(super) fn guess(&self, from: IpAddr, now: Duration) -> Result<(), Beyond> {
        let mut inside = self.lock();
        let network = network(from);
        let before = inside.networks.get(&network).copied().unwrap_or_default();
        let own = GUESSES.taken(before, now).map_err(Beyond::Network)?;
        inside.all = ALL.taken(inside.all, now).map_err(|_| Beyond::All)?;
        inside.remember(network, own, now);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, network: IpAddr, full_at: Duration, now: Duration) {
        if self.networks.len() >= NETWORKS_MAX && !self.networks.contains_key(&network) {
            self.networks.retain(|_, full_at| *full_at > now);
        }
        if self.networks.len() < NETWORKS_MAX || self.networks.contains_key(&network) {
            self.networks.insert(network, full_at);
        }
    }
}

impl Bucket {
    /// When it is full again after one more request, or else how long until one may come.
    fn taken(&self, full_at: Duration, now: Duration) -> Result<Duration, Duration> {
        let after = full_at.max(now) + self.each;
        let most = now + self.each * self.burst;
        if after > most { Err(after - most) } else { Ok(after) }
    }
}

/// An IPv4 address, or the /64 of one IPv6 subscriber.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000_000);

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_that_guesses_too_often_waits_alone() {
        let misses = Misses::default();
        for _ in 0..GUESSES.burst {
            assert_eq!(misses.guess(address("2001:db8::1"), NOW), Ok(()));
        }
        let same_network = address("2001:db8::ffff:1");
        assert_eq!(misses.guess(same_network, NOW), Err(Beyond::Network(GUESSES.each)));
        assert_eq!(misses.guess(address("2001:db8:0:1::1"), NOW), Ok(()));
        assert_eq!(misses.guess(address("192.0.2.1"), NOW), Ok(()));
        assert_eq!(misses.guess(same_network, NOW + GUESSES.each), Ok(()));
        assert_eq!(
            misses.guess(same_network, NOW + GUESSES.each),
            Err(Beyond::Network(GUESSES.each))
        );
    }

    /// A network that is refused for this bound has used none of its own guesses.
    #[test]
    fn guesses_of_all_networks_together_are_bounded() {
        let misses = Misses::default();
        while misses.take(NOW).is_ok() {}
        assert_eq!(misses.guess(address("192.0.2.1"), NOW), Err(Beyond::All));
        for _ in 0..GUESSES.burst {
            assert_eq!(misses.guess(address("192.0.2.1"), NOW + Duration::from_secs(3600)), Ok(()));
        }
        assert_eq!(misses.take(NOW + Duration::from_secs(3600)), Ok(()));
    }

    #[test]
    fn the_table_of_networks_is_bounded() {
        let misses = Misses::default();
        for number in 0..u32::try_from(NETWORKS_MAX).expect("small") * 2 {
            // Slow enough for the common bucket, too fast for a network's bucket to fill up.
            let at = NOW + Duration::from_micros(u64::from(number));
            let mut inside = misses.lock();
            inside.remember(IpAddr::from(number.to_be_bytes()), at + GUESSES.each, at);
            assert!(inside.networks.len() <= NETWORKS_MAX);
        }
        let mut inside = misses.lock();
        inside.remember(address("192.0.2.1"), NOW * 2, NOW + Duration::from_secs(60));
        assert_eq!(inside.networks.len(), 1, "those that are held for nothing are forgotten");
    }
}
