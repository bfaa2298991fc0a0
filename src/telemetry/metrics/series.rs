//! A single series: counter, gauge, in-flight gauge or histogram. Handles are cheap to clone;
//! clones are the same series.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use prometheus::HistogramOpts;
use prometheus::core::Metric as _;
use prometheus::proto::{self, MetricType};

use super::exemplars::{Exemplar, Exemplars};
use crate::request::Traceparent;

/// A kind of series.
pub trait Series: Clone + Send + Sync + 'static {
    /// The type in Prometheus.
    const TYPE: MetricType;
    /// The most series of one metric; few for a histogram, which takes a dozen lines of a scrape.
    const CHILDREN_MAX: usize;

    /// A new series; only histograms have buckets.
    ///
    /// # Errors
    /// The buckets are not in ascending order.
    fn new(buckets: &'static [f64]) -> prometheus::Result<Self>;

    /// The current value, without labels.
    fn read(&self) -> proto::Metric;
}

/// A counter. With `PER_UNIT` it counts fractions (millionths of a credit, milliseconds) and shows
/// whole units, because integers add up exactly and floats do not.
#[derive(Clone, Debug, Default)]
pub struct Counter<const PER_UNIT: u64 = 1>(Arc<AtomicU64>);

impl<const PER_UNIT: u64> Counter<PER_UNIT> {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds a number, of fractions if there are any.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count, of fractions if there are any.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<const PER_UNIT: u64> Series for Counter<PER_UNIT> {
    const TYPE: MetricType = MetricType::COUNTER;
    const CHILDREN_MAX: usize = 50_000;

    fn new(_: &'static [f64]) -> prometheus::Result<Self> {
        Ok(Self::default())
    }

    #[allow(clippy::cast_precision_loss)]
    fn read(&self) -> proto::Metric {
        let mut counter = proto::Counter::default();
        counter.set_value(self.get() as f64 / PER_UNIT as f64);
        let mut metric = proto::Metric::default();
        metric.set_counter(counter);
        metric
    }
}

/// A gauge that is set.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Sets it to 1 for yes and 0 for no.
    pub fn set_whether(&self, yes: bool) {
        self.set(if yes { 1.0 } else { 0.0 });
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Series for Gauge {
    const TYPE: MetricType = MetricType::GAUGE;
    const CHILDREN_MAX: usize = 50_000;

    fn new(_: &'static [f64]) -> prometheus::Result<Self> {
        Ok(Self::default())
    }

    fn read(&self) -> proto::Metric {
        gauge(self.get())
    }
}

/// A gauge of things in flight: [`InFlight::enter`] raises it until the guard is dropped.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<AtomicI64>);

impl InFlight {
    /// Raises it until the guard is dropped.
    #[must_use]
    pub fn enter(&self) -> InFlightGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        InFlightGuard(self.clone())
    }

    /// Raises it until [`InFlight::down`].
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Lowers it.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number in flight.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A guard that keeps an [`InFlight`] raised.
#[derive(Debug)]
pub struct InFlightGuard(InFlight);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Series for InFlight {
    const TYPE: MetricType = MetricType::GAUGE;
    const CHILDREN_MAX: usize = 50_000;

    fn new(_: &'static [f64]) -> prometheus::Result<Self> {
        Ok(Self::default())
    }

    #[allow(clippy::cast_precision_loss)]
    fn read(&self) -> proto::Metric {
        gauge(self.get() as f64)
    }
}

fn gauge(value: f64) -> proto::Metric {
    let mut gauge = proto::Gauge::default();
    gauge.set_value(value);
    let mut metric = proto::Metric::default();
    metric.set_gauge(gauge);
    metric
}

/// A histogram.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: prometheus::Histogram,
    exemplars: Exemplars,
}

impl Histogram {
    /// Observes a duration.
    pub fn observe(&self, duration: Duration) {
        self.counts.observe(duration.as_secs_f64());
    }

    /// Observes a duration with its trace.
    pub fn observe_traced(&self, duration: Duration, trace: Option<Traceparent>, at: Timestamp) {
        self.observe(duration);
        if let Some(trace) = trace {
            self.exemplars.keep(Exemplar { trace, duration, at });
        }
    }

    /// The last observation with a trace in each bucket.
    #[must_use]
    pub fn exemplars(&self) -> Vec<Option<Exemplar>> {
        self.exemplars.read()
    }

    /// Observes a size.
    #[allow(clippy::cast_precision_loss)]
    pub fn sized(&self, size: usize) {
        self.counts.observe(size as f64);
    }

    /// The number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.get_sample_count()
    }
}

impl Series for Histogram {
    const TYPE: MetricType = MetricType::HISTOGRAM;
    const CHILDREN_MAX: usize = 2_000;

    fn new(buckets: &'static [f64]) -> prometheus::Result<Self> {
        // The family's name and help are shown; these are not.
        let opts = HistogramOpts::new("series", "series").buckets(buckets.to_vec());
        let counts = prometheus::Histogram::with_opts(opts)?;
        Ok(Self { counts, exemplars: Exemplars::new(buckets) })
    }

    fn read(&self) -> proto::Metric {
        self.counts.metric()
    }
}
