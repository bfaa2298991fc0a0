//! Notes refused calls on the path of a request, and writes them to the store from a task.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{RefusedCall, Store};
use crate::maps::FastMap;
use crate::team::TeamId;

/// Pause between two writes.
const EVERY: Duration = Duration::from_secs(1);

/// Most calls of a team in one write. Of more, the newest are written.
const AT_ONCE: usize = 20;

/// Refused calls that are not written yet. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Pending>>);

/// Refused calls by team, newest first.
type Pending = FastMap<TeamId, VecDeque<RefusedCall>>;

impl Recorder {
    /// Notes a call. Does no I/O.
    pub fn note(&self, team: &TeamId, call: RefusedCall) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = match pending.get_mut(team) {
            Some(calls) => calls,
            None => pending.entry(team.clone()).or_default(),
        };
        calls.push_front(call);
        calls.truncate(AT_ONCE);
    }

    /// Writes noted calls each second until stopped, and then once more.
    pub async fn write_to(self, store: Arc<dyn Store>, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            self.write(&*store).await;
        }
        self.write(&*store).await;
    }

    async fn write(&self, store: &dyn Store) {
        for (team, calls) in self.take() {
            let calls: Vec<RefusedCall> = calls.into();
            if let Err(outage) = store.add(&team, &calls).await {
                // The calls are lost here, but stand in the access log.
                tracing::debug!(
                    %team,
                    %outage,
                    "refused calls could not be added to the list of the latest"
                );
            }
        }
    }

    fn take(&self) -> Pending {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
