//! Whether a call can be sent at once: it needs no permit, and a connection is idle.

use super::{ReservedConnection, Upstream, UpstreamClient};
use crate::admission::AtHand;
use crate::clock::Clock;
use crate::live::Live;

/// One worker's access to the upstream. Clones share it.
#[derive(Clone)]
pub struct UpstreamAccess {
    /// The upstream.
    pub upstream: Live<Upstream>,
    /// The worker's connections.
    pub client: UpstreamClient,
    /// The time.
    pub clock: Clock,
}

impl AtHand for UpstreamAccess {
    type Connection = ReservedConnection;

    /// An idle connection, if the call needs no permit. Where the shared account has limits every
    /// call needs one, and only the store can grant it.
    fn at_hand(&self) -> Option<ReservedConnection> {
        let upstream = self.upstream.read();
        let is_free = upstream.limits.is_none() && upstream.keys.has_usable(self.clock.now());
        if is_free { self.client.at_hand(&upstream.origin, upstream.bounds) } else { None }
    }
}
