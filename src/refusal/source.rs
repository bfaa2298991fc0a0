//! The party at fault for an error.

/// Who is at fault for a refusal: the `X-Error-Source` header and the `source` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The request itself.
    Caller,
    /// The team's permissions and limits.
    Policy,
    /// The gateway, its store or its operator.
    Gateway,
    /// The upstream, or the shared account.
    Upstream,
}

impl Source {
    /// The name in the header and the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Policy => "policy",
            Self::Gateway => "gateway",
            Self::Upstream => "upstream",
        }
    }
}
