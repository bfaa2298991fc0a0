//! Sends recorded spans in batches, with retries.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::message;
use super::post::Post;
use crate::https::between_half_and_all;
use crate::request::recording::Recorded;
use crate::telemetry::metrics::series::Counter;

/// A batch is full with so many spans; the spans of one request stay together.
const BATCH_SPANS: usize = 512;
/// Attempts for one batch.
const TRIES: u32 = 5;
/// The longest pause that a collector is granted.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Counts spans by result.
#[derive(Clone, Debug)]
pub struct Counters {
    /// The collector took them.
    pub exported: Counter,
    /// Spans never sent: the queue was full, or the process ended.
    pub dropped: Counter,
    /// The collector refused them, or no attempt reached it.
    pub failed: Counter,
}

/// Sends the traces of one process.
pub struct Exporter {
    post: Post,
    resource: Resource,
    gather: Duration,
    first_pause: Duration,
    finish: Duration,
    waiting: mpsc::Receiver<Recorded>,
    counters: Counters,
    /// Whether the last batch failed: only a change is logged.
    is_failing: bool,
}

/// Spans on their way. Dropped without an end, they count as dropped.
struct Batch {
    spans: u64,
    body: Bytes,
    counters: Counters,
}

impl Batch {
    fn ends_delivered(mut self, rejected: u64) {
        let rejected = rejected.min(self.spans);
        self.counters.failed.add(rejected);
        self.counters.exported.add(self.spans - rejected);
        self.spans = 0;
    }

    fn ends_failed(mut self) {
        self.counters.failed.add(self.spans);
        self.spans = 0;
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.counters.dropped.add(self.spans);
    }
}

impl Exporter {
    /// An exporter of this queue. [`Exporter::work`] must be run.
    ///
    /// # Errors
    /// As for [`Post::new`].
    pub fn new(
        settings: &Settings,
        resource: Resource,
        waiting: mpsc::Receiver<Recorded>,
        counters: Counters,
    ) -> io::Result<Self> {
        Ok(Self {
            post: Post::new(settings)?,
            resource,
            gather: settings.gather,
            first_pause: settings.first_pause,
            finish: settings.finish,
            waiting,
            counters,
            is_failing: false,
        })
    }

    /// Sends until stopped, and then what is left, for a bounded time. The rest is counted as
    /// dropped.
    pub async fn work(mut self, stop: CancellationToken) {
        let finish = self.finish;
        let too_late = async {
            stop.cancelled().await;
            tokio::time::sleep(finish).await;
        };
        tokio::select! {
            () = self.send_all(&stop) => {}
            () = too_late => {}
        }
        while self.next_batch().is_some() {}
    }

    async fn send_all(&mut self, stop: &CancellationToken) {
        loop {
            // The workers never wake this task, so it polls.
            let stopped = stop.run_until_cancelled(tokio::time::sleep(self.gather)).await.is_none();
            while let Some(batch) = self.next_batch() {
                self.send(batch, stop).await;
            }
            if stopped {
                return;
            }
        }
    }

    /// The next batch; `None` when nothing waits.
    fn next_batch(&mut self) -> Option<Batch> {
        let mut spans: Vec<Span> = Vec::new();
        while spans.len() < BATCH_SPANS {
            let Ok(recorded) = self.waiting.try_recv() else { break };
            spans.extend(message::spans(recorded));
        }
        let body = message::body(&self.resource, &spans).into();
        let counters = self.counters.clone();
        (!spans.is_empty()).then(|| Batch { spans: spans.len() as u64, body, counters })
    }

    async fn send(&mut self, batch: Batch, stop: &CancellationToken) {
        let mut pause = self.first_pause;
        for tried in 1..=TRIES {
            let is_last = tried == TRIES || stop.is_cancelled();
            match self.post.send(batch.body.clone()).await {
                Ok(rejected) => {
                    self.note(rejected);
                    return batch.ends_delivered(rejected);
                }
                Err(error) if !is_last && error.may_pass() => {
                    tracing::debug!(
                        %error,
                        tried,
                        "traces are sent again: the collector did not take them"
                    );
                    let asked = error.retry_after().map(|asked| asked.min(PAUSE_MAX));
                    let pausing = asked.unwrap_or_else(|| between_half_and_all(pause));
                    // When stopped, makes one more attempt at once.
                    stop.run_until_cancelled(tokio::time::sleep(pausing)).await;
                    pause *= 2;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(
                            %error,
                            tried,
                            "traces are lost: the collector does not take them"
                        );
                    }
                    return batch.ends_failed();
                }
            }
        }
    }

    fn note(&mut self, rejected: u64) {
        if rejected > 0 {
            tracing::warn!(
                rejected,
                "the collector took a batch of traces without some of its spans"
            );
        }
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("the collector takes traces again");
        }
    }
}
