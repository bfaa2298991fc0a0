//! Metrics, access log, audit log, other logs, traces, and the two measuring layers.

pub mod access_log;
pub mod audit_log;
pub mod ending;
pub mod json_line;
pub mod logs;
pub mod measure_team;
pub mod metrics;
pub mod outcome;
pub mod sink;
pub mod spend;
pub mod start;
#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic)]
mod tests;
pub mod trace_and_count;
pub mod traces;

pub use access_log::AccessLog;
pub use audit_log::AuditLog;
pub use measure_team::{MeasureTeam, MeasureTeamLayer};
pub use metrics::Metrics;
pub use outcome::Outcome;
pub use sink::{Flush, Sink};
pub use spend::SpendWatch;
pub use start::{Settings, Telemetry, start};
pub use trace_and_count::{TraceAndCount, TraceAndCountLayer};
