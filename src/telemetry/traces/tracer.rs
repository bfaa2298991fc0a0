//! Begins recordings, and puts ended ones into a queue that the exporter reads.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::sampler::Sampler;
use crate::clock::Clock;
use crate::request::recording::{Begin, Recorded, Recording, SpanSink};
use crate::request::{RequestLog, TraceIds, Traceparent};
use crate::telemetry::metrics::series::Counter;

/// Most ended requests that wait to be exported: what a busy replica records in a few seconds.
pub const WAITING_MAX: usize = 2_048;

/// Begins recordings. One for the process.
#[derive(Debug)]
pub struct Tracer {
    sampler: Sampler,
    door: mpsc::Sender<Recorded>,
    dropped: Counter,
    clock: Clock,
    scheme: &'static str,
}

impl Tracer {
    /// A tracer, and its queue. Spans that do not fit into it are counted in `dropped`. `scheme` is
    /// that of the team listener.
    #[must_use]
    pub fn new(
        sampler: Sampler,
        dropped: Counter,
        clock: Clock,
        scheme: &'static str,
    ) -> (Arc<Self>, mpsc::Receiver<Recorded>) {
        let (door, waiting) = mpsc::channel(WAITING_MAX);
        (Arc::new(Self { sampler, door, dropped, clock, scheme }), waiting)
    }

    /// Scheme of the team listener: http or https.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The log of a request in this trace. If the trace is sampled, the log records spans, and the
    /// trace's flag says so, also to the upstream.
    #[must_use]
    pub fn begin(
        self: &Arc<Self>,
        trace: Traceparent,
        caller: Option<Traceparent>,
        ids: &Arc<TraceIds>,
    ) -> RequestLog {
        let is_recorded = self.sampler.records(trace, caller);
        let trace = trace.sampled(is_recorded);
        let recording = is_recorded.then(|| {
            let begin = Begin { trace, caller, at: self.clock.now(), since: Instant::now() };
            let sink: Arc<dyn SpanSink> = Arc::<Self>::clone(self);
            Arc::new(Recording::new(begin, Arc::clone(ids), sink))
        });
        RequestLog::traced(trace, recording)
    }
}

impl SpanSink for Tracer {
    /// Does not wake the exporter, which polls.
    fn take(&self, recorded: Recorded) {
        if let Err(full) = self.door.try_send(recorded) {
            let spans = match full {
                mpsc::error::TrySendError::Full(recorded)
                | mpsc::error::TrySendError::Closed(recorded) => recorded.spans.len(),
            };
            self.dropped.add(spans as u64);
        }
    }
}
