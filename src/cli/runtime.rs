//! Runtime, metrics and logs for commands that wait or serve.

use super::Ended;
use crate::clock::Clock;
use crate::config::Settings;
use crate::telemetry::logs::FILTER_VARIABLE;
use crate::telemetry::{self, Telemetry};

/// Sets up metrics and logs. Drop the result last: it writes out what was logged.
pub(super) fn start_telemetry(settings: &Settings) -> Result<(Telemetry, Clock), Ended> {
    let clock = Clock::system();
    let filter = std::env::var(FILTER_VARIABLE).ok();
    let telemetry = telemetry::start(&settings.fixed.telemetry, filter.as_deref(), &clock);
    Ok((telemetry.map_err(|error| Ended::Failed(error.to_string()))?, clock))
}

/// Runs a waiting command on one thread; the gateway's workers have their own.
pub(super) fn block_on<F: Future>(command: F) -> Result<F::Output, Ended> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(command))
}
