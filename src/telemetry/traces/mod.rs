//! Traces: spans of requests, sent to a collector as OTLP over HTTP.
//!
//! Reading order: [`sampler`] (which requests are recorded), [`of_request`] (the span of a whole
//! request), [`tracer`] (takes recordings from the workers), [`message`] and [`resource`] (OTLP),
//! [`post`] (one request to the collector), [`exporter`] (batches and retries).
//!
//! Stages record themselves while a request runs; see [`crate::request::recording`]. On the path of
//! a request there is only the push into a bounded queue, and only for recorded requests. If the
//! queue is full, the trace is dropped and counted.

pub mod exporter;
pub mod message;
pub mod of_request;
pub mod post;
pub mod resource;
pub mod sampler;
pub mod settings;
pub mod tracer;

use std::io;
use std::sync::Arc;

pub use exporter::{Counters, Exporter};
pub use sampler::Sampler;
pub use settings::Settings;
pub use tracer::Tracer;

use super::Metrics;
use crate::clock::Clock;

/// The tracer of a process, and its exporter. `scheme` is that of the team listener.
///
/// # Errors
/// The exporter's client cannot be made.
pub fn start(
    settings: &Settings,
    metrics: &Metrics,
    clock: Clock,
    scheme: &'static str,
) -> io::Result<(Arc<Tracer>, Exporter)> {
    let of = |result| metrics.catalogue().trace_spans_total.with([result]);
    let counters =
        Counters { exported: of("exported"), dropped: of("dropped"), failed: of("failed") };
    let sampler = Sampler::new(settings.sample_share);
    let (tracer, waiting) = Tracer::new(sampler, counters.dropped.clone(), clock, scheme);
    let resource = resource::resource(|name| std::env::var(name).ok());
    Ok((tracer, Exporter::new(settings, resource, waiting, counters)?))
}
