//! Whether a call can be sent at once: it needs nobody's permit, and a connection is at hand.

use super::{Line, Upstream, Wire};
use crate::clock::Clock;
use crate::live::Live;

/// The ways to the upstream from one worker. Clones are the same.
#[derive(Clone)]
pub struct Ways {
    /// Where they lead.
    pub upstream: Live<Upstream>,
    /// The worker's connections.
    pub wire: Wire,
    /// The time.
    pub clock: Clock,
}

impl Ways {
    /// The connection over which a call can be sent as soon as it is admitted, held for it until then. `None`: it may have to
    /// wait. Where the shared account has limits it always may: its permits are with the store, so none is at hand here.
    #[must_use]
    pub fn at_hand(&self) -> Option<Line> {
        let upstream = self.upstream.read();
        let is_free = upstream.limits.is_none() && upstream.keys.has_usable(self.clock.now());
        if is_free { self.wire.at_hand(&upstream.origin, upstream.bounds) } else { None }
    }
}
