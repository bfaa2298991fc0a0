//! What the room tells whoever counts it.

/// What was used up when a caller had to wait to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// As many connections were open as may be.
    ConnectionsMax,
    /// The process, or the system, had no file descriptor left.
    Descriptors,
}

impl Stall {
    /// All of them.
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
    /// So many may be open.
    fn may_be_open(&self, connections: usize);

    /// One is open.
    fn opened(&self);

    /// One is closed.
    fn closed(&self);

    /// A caller has to wait to be accepted.
    fn stalled(&self, why: Stall);
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn may_be_open(&self, _connections: usize) {}

    fn opened(&self) {}

    fn closed(&self) {}

    fn stalled(&self, _why: Stall) {}
}
