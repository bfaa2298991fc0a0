//! `moongate serve`: runs the gateway.

use std::path::PathBuf;

use super::Ended;
use super::runtime::{block_on, start_telemetry};
use crate::app::{self, Followed};
use crate::config;
use crate::config::watch::Watcher;

/// Runs the gateway.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "MOONGATE_CONFIG")]
    pub config: PathBuf,
}

impl Serve {
    /// Serves until SIGTERM, then drains.
    ///
    /// # Errors
    /// The configuration is invalid, or something it needs cannot be acquired.
    pub fn run(&self) -> Result<(), Ended> {
        let settings =
            config::load(&self.config).map_err(|problems| Ended::Misused(problems.to_string()))?;
        let (telemetry, clock) = start_telemetry(&settings)?;
        block_on(async {
            let acquired = app::acquire(
                &settings,
                &telemetry.metrics,
                &telemetry.access_log,
                &telemetry.audit_log,
                clock,
            )
            .map_err(|unusable| Ended::Failed(unusable.to_string()))?;
            let watcher = Watcher::new(&self.config, &settings)?;
            app::run(acquired, Some(Followed { watcher, settings })).await.map_err(Ended::from)
        })?
    }
}
