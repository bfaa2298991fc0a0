//! Sets up what the whole process uses: the metrics, the sink for log lines, and everything that logs into it.

use std::sync::Arc;

use super::logs::{self, Form, Unloggable};
use super::metrics::Unregistrable;
use super::{AccessLog, AuditLog, Flush, Metrics, Sink};
use crate::clock::Clock;

/// What the gateway says about itself, as the configuration describes it. Read once, at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The form of the logs; `None` is text on a terminal and JSON elsewhere (`telemetry.logs`).
    pub logs: Option<Form>,
    /// Whether every request of the team listener gets a line (`telemetry.access_log`).
    pub access_log: bool,
}

/// What is ready to count and to log.
#[derive(Debug)]
pub struct Telemetry {
    /// The metrics, for every room that has something to count.
    pub metrics: Arc<Metrics>,
    /// The access log, for the outermost layer.
    pub access_log: AccessLog,
    /// The log of what operators change.
    pub audit_log: AuditLog,
    /// To be dropped last: writes out what was logged.
    pub flush: Flush,
}

/// Nothing can be seen of this process, so it does not start.
#[derive(Debug, thiserror::Error)]
pub enum Unstartable {
    /// The metrics.
    #[error(transparent)]
    Metrics(#[from] Unregistrable),
    /// The logs.
    #[error(transparent)]
    Logs(#[from] Unloggable),
    /// The thread that writes the logs.
    #[error("no thread for the logs: {0}")]
    Thread(#[from] std::io::Error),
}

/// Sets it up for this process, once: logs and panics go to standard output from here on. `filter` says what is logged,
/// the value of [`logs::FILTER_VARIABLE`] if that is set.
///
/// # Errors
/// The filter is malformed, logs were set up before, or the system gives no thread.
pub fn start(settings: &Settings, filter: Option<&str>, clock: &Clock) -> Result<Telemetry, Unstartable> {
    let metrics = Arc::new(Metrics::new(clock.clone())?);
    let dropped = metrics.catalogue().log_lines_dropped_total.series();
    let (sink, flush) = Sink::start(std::io::stdout(), dropped)?;
    let form = settings.logs.unwrap_or_else(Form::for_standard_output);
    logs::install(sink.clone(), form, clock.clone(), filter)?;
    let audit_log = AuditLog::new(sink.clone(), form);
    let access_log = if settings.access_log { AccessLog::new(sink, form) } else { AccessLog::off() };
    Ok(Telemetry { metrics, access_log, audit_log, flush })
}
