//! What the listener reports to metrics.

use jiff::Timestamp;

/// The exhausted resource for which a caller had to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// The most connections were open.
    ConnectionsMax,
    /// The process, or the system, had no file descriptor left.
    Descriptors,
}

impl Stall {
    /// All values.
    pub const ALL: [Self; 2] = [Self::ConnectionsMax, Self::Descriptors];

    /// The name in the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectionsMax => "connections_max",
            Self::Descriptors => "descriptors",
        }
    }
}

/// Counts connections.
pub trait Observer: Send + Sync + 'static {
    /// Reports how many connections may be open.
    fn may_be_open(&self, connections: usize);

    /// Counts a connection that was opened.
    fn opened(&self);

    /// Counts a connection that was closed.
    fn closed(&self);

    /// Counts a caller that has to wait to be accepted.
    fn stalled(&self, why: Stall);

    /// Reports when the certificate that is shown ends.
    fn certificate_ends(&self, at: Timestamp);
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn may_be_open(&self, _connections: usize) {}

    fn opened(&self) {}

    fn closed(&self) {}

    fn stalled(&self, _why: Stall) {}

    fn certificate_ends(&self, _at: Timestamp) {}
}
