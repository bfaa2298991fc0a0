//! Reload: notices that the file, or a file it names, has changed, or that a signal asks for it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::report::Problems;
use super::secrets::{Digest, Digests};
use super::settings::Settings;

/// How long a file must stay unchanged before it is read, so that one being written is not.
const STILL: Duration = Duration::from_millis(50);

/// Watches a configuration file and every file it names: secrets, certificates, key sets.
///
/// It compares the content behind the path, resolved anew each time: a file replaced by a rename,
/// or a ConfigMap whose symbolic link moved, is noticed like one written in place.
pub struct Watcher {
    path: PathBuf,
    looks: Interval,
    signal: Signal,
    /// Digests of what was last read. A change between that and the first check is noticed too.
    read: Digests,
}

impl Watcher {
    /// Watches the file at `path`, from which `settings` were loaded, and reads it again on SIGHUP,
    /// which no longer ends the process.
    ///
    /// # Errors
    /// The system does not allow handling the signal.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(path: &Path, settings: &Settings) -> io::Result<Self> {
        Self::on_signal(SignalKind::hangup(), path, settings)
    }

    /// The same, with another signal instead of SIGHUP.
    ///
    /// # Errors
    /// As for [`Self::new`].
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn on_signal(kind: SignalKind, path: &Path, settings: &Settings) -> io::Result<Self> {
        let mut looks = interval(settings.fixed.reload_poll);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            path: path.to_owned(),
            looks,
            signal: signal(kind)?,
            read: settings.files.clone(),
        })
    }

    /// Waits for a change or the signal, then reads everything again.
    ///
    /// A file with problems is reported once, not at every check. The caller keeps the settings in
    /// use.
    ///
    /// # Errors
    /// The problems of the new file: the settings in use stay.
    pub async fn next(&mut self) -> Result<Settings, Problems> {
        loop {
            let signal_came = tokio::select! {
                Some(()) = self.signal.recv() => true,
                _ = self.looks.tick() => false,
            };
            if !signal_came && !self.has_changed().await {
                continue;
            }
            let path = self.path.clone();
            // Reading always finishes, unless the runtime is shutting down; then nobody waits for
            // it.
            let Ok(read) = spawn_blocking(move || super::load(&path)).await else { continue };
            self.read = match &read {
                Ok(settings) => settings.files.clone(),
                Err(problems) => problems.files().clone(),
            };
            return read;
        }
    }

    /// Whether the files have changed since they were read. Waits until they stop changing.
    async fn has_changed(&self) -> bool {
        let Ok(mut seen) = self.look().await else { return false };
        if seen == self.read {
            return false;
        }
        loop {
            sleep(STILL).await;
            let Ok(now) = self.look().await else { return false };
            if now == seen {
                return now != self.read;
            }
            seen = now;
        }
    }

    async fn look(&self) -> Result<Digests, JoinError> {
        let paths: Vec<PathBuf> = self.read.keys().cloned().collect();
        spawn_blocking(move || {
            paths
                .into_iter()
                .map(|path| {
                    let now = Digest::at(&path);
                    (path, now)
                })
                .collect()
        })
        .await
    }
}
