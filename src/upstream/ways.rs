//! Whether a call can be sent at once: it needs nobody's permit, and a connection is at hand.

use super::{Line, Upstream, UpstreamClient};
use crate::admission::AtHand;
use crate::clock::Clock;
use crate::live::Live;

/// The ways to the upstream from one worker. Clones are the same.
#[derive(Clone)]
pub struct Ways {
    /// Where they lead.
    pub upstream: Live<Upstream>,
    /// The worker's connections.
    pub wire: UpstreamClient,
    /// The time.
    pub clock: Clock,
}

impl AtHand for Ways {
    type Line = Line;

    /// A connection at hand, when no permit is needed. Where the shared account has limits it always may: its permits
    /// are with the store, so none is at hand here.
    fn at_hand(&self) -> Option<Line> {
        let upstream = self.upstream.read();
        let is_free = upstream.limits.is_none() && upstream.keys.has_usable(self.clock.now());
        if is_free { self.wire.at_hand(&upstream.origin, upstream.bounds) } else { None }
    }
}
