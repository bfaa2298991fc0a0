//! Sets up metrics and logs for the whole process.

use std::sync::Arc;

use super::logs::{self, Form, Unloggable};
use super::metrics::Unregistrable;
use super::{AccessLog, AuditLog, Flush, Metrics, Sink, traces};
use crate::clock::Clock;

/// Settings of logs and traces. Read once, at start.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Format of the logs; `None` is text on a terminal and JSON elsewhere (`telemetry.logs`).
    pub logs: Option<Form>,
    /// Whether every request of the team listener is logged (`telemetry.access_log`).
    pub access_log: bool,
    /// Where traces are sent, if anywhere (`telemetry.otlp`).
    pub otlp: Option<traces::Settings>,
}

/// Metrics and logs, set up.
#[derive(Debug)]
pub struct Telemetry {
    /// Metrics, for every room that counts.
    pub metrics: Arc<Metrics>,
    /// Access log, for the outermost layer.
    pub access_log: AccessLog,
    /// Audit log of operators' changes.
    pub audit_log: AuditLog,
    /// Drop last: writes out what was logged.
    pub flush: Flush,
}

/// Why metrics or logs cannot be set up; the process then does not start.
#[derive(Debug, thiserror::Error)]
pub enum Unstartable {
    /// Metrics.
    #[error(transparent)]
    Metrics(#[from] Unregistrable),
    /// Logs.
    #[error(transparent)]
    Logs(#[from] Unloggable),
    /// The thread that writes logs.
    #[error("no thread for the logs: {0}")]
    Thread(#[from] std::io::Error),
}

/// Sets them up, once per process: from here on logs and panics go to standard output. `filter` is
/// the value of [`logs::FILTER_VARIABLE`].
///
/// # Errors
/// The filter is malformed, logs were set up before, or the system cannot start a thread.
pub fn start(
    settings: &Settings,
    filter: Option<&str>,
    clock: &Clock,
) -> Result<Telemetry, Unstartable> {
    let metrics = Arc::new(Metrics::new(clock.clone())?);
    let dropped = metrics.catalogue().log_lines_dropped_total.series();
    let (sink, flush) = Sink::start(std::io::stdout(), dropped)?;
    let form = settings.logs.unwrap_or_else(Form::for_standard_output);
    logs::install(sink.clone(), form, clock.clone(), filter)?;
    let audit_log = AuditLog::new(sink.clone(), form);
    let access_log =
        if settings.access_log { AccessLog::new(sink, form) } else { AccessLog::off() };
    Ok(Telemetry { metrics, access_log, audit_log, flush })
}
