//! Keeps the settings fresh: notices that the file, or a file it names, has another content, or that a signal asks.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::report::Problems;
use super::secrets::{Digest, Digests};
use super::settings::Settings;

/// A file that is being written is not read: its content must have stood still for this long.
const STILL: Duration = Duration::from_millis(50);

/// Watches a configuration file and every file it names: secrets, certificates, key sets.
///
/// What counts is the content behind the path, looked up anew each time: a file replaced by a rename, or a ConfigMap
/// whose symbolic link was moved, is noticed like one that was written in place.
pub struct Watcher {
    path: PathBuf,
    looks: Interval,
    asked: Signal,
    /// What was read the last time: compared with it, a change between that reading and the first look is not missed.
    read: Digests,
}

impl Watcher {
    /// Watches the file at `path`, from which `settings` were loaded, and reads it again when SIGHUP comes. From here
    /// on that signal no longer ends the process.
    ///
    /// # Errors
    /// The system does not let the process handle the signal.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(path: &Path, settings: &Settings) -> io::Result<Self> {
        Self::asked_by(SignalKind::hangup(), path, settings)
    }

    /// The same, with another signal in the place of SIGHUP.
    ///
    /// # Errors
    /// As for [`Self::new`].
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn asked_by(asking: SignalKind, path: &Path, settings: &Settings) -> io::Result<Self> {
        let mut looks = interval(settings.fixed.reload_poll);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { path: path.to_owned(), looks, asked: signal(asking)?, read: settings.files.clone() })
    }

    /// Waits until something changed or the signal came, then reads everything again: all of it or nothing.
    ///
    /// A file that is wrong is told once, not at every look. The settings in use are the caller's to keep.
    ///
    /// # Errors
    /// The problems with the new file: the settings in use stay.
    pub async fn next(&mut self) -> Result<Settings, Problems> {
        loop {
            let asked = tokio::select! {
                Some(()) = self.asked.recv() => true,
                _ = self.looks.tick() => false,
            };
            if !asked && !self.has_changed().await {
                continue;
            }
            let path = self.path.clone();
            // Reading cannot fail to finish unless the runtime is going down; then nobody waits for the answer.
            let Ok(read) = spawn_blocking(move || super::load(&path)).await else { continue };
            self.read = match &read {
                Ok(settings) => settings.files.clone(),
                Err(problems) => problems.files().clone(),
            };
            return read;
        }
    }

    /// Whether the files have another content than when they were read; answers when they stand still.
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
