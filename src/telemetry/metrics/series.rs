//! What one series is: a counter, a gauge, a level or a histogram. Handles are cheap to clone; clones are the same
//! series.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus::HistogramOpts;
use prometheus::core::Metric as _;
use prometheus::proto::{self, MetricType};

/// A kind of series.
pub trait Series: Clone + Send + Sync + 'static {
    /// What Prometheus calls it.
    const TYPE: MetricType;
    /// The most series of one metric: a histogram is a dozen lines of every scrape.
    const CHILDREN_MAX: usize;

    /// A new series; only histograms have buckets.
    ///
    /// # Errors
    /// The buckets are not in ascending order.
    fn new(buckets: &[f64]) -> prometheus::Result<Self>;

    /// Its value now, without labels.
    fn read(&self) -> proto::Metric;
}

/// Counts up. With `PER_UNIT` the count is of fractions (millionths of a credit, milliseconds) and is shown in whole
/// units: integers add up exactly where floats do not.
#[derive(Clone, Debug, Default)]
pub struct Counter<const PER_UNIT: u64 = 1>(Arc<AtomicU64>);

impl<const PER_UNIT: u64> Counter<PER_UNIT> {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// So many more, counted in fractions when there are any.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count, in fractions when there are any.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<const PER_UNIT: u64> Series for Counter<PER_UNIT> {
    const TYPE: MetricType = MetricType::COUNTER;
    const CHILDREN_MAX: usize = 50_000;

    fn new(_: &[f64]) -> prometheus::Result<Self> {
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

/// A number that is set.
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

    fn new(_: &[f64]) -> prometheus::Result<Self> {
        Ok(Self::default())
    }

    fn read(&self) -> proto::Metric {
        gauge(self.get())
    }
}

/// How many are inside now: goes up with [`InFlight::enter`] and down when what that gave is dropped.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<AtomicI64>);

impl InFlight {
    /// One more, until the guard is dropped.
    #[must_use]
    pub fn enter(&self) -> InFlightGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        InFlightGuard(self.clone())
    }

    /// One more, whose end is told with [`InFlight::down`].
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many are inside.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One that is inside a [`InFlight`].
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

    fn new(_: &[f64]) -> prometheus::Result<Self> {
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

/// How observations are spread over buckets.
#[derive(Clone, Debug)]
pub struct Histogram(prometheus::Histogram);

impl Histogram {
    /// Notes how long something took.
    pub fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }

    /// Notes how large something was.
    #[allow(clippy::cast_precision_loss)]
    pub fn sized(&self, size: usize) {
        self.0.observe(size as f64);
    }

    /// How many observations there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.get_sample_count()
    }
}

impl Series for Histogram {
    const TYPE: MetricType = MetricType::HISTOGRAM;
    const CHILDREN_MAX: usize = 2_000;

    fn new(buckets: &[f64]) -> prometheus::Result<Self> {
        // Name and help are the family's; this one's are never shown.
        let opts = HistogramOpts::new("series", "series").buckets(buckets.to_vec());
        prometheus::Histogram::with_opts(opts).map(Self)
    }

    fn read(&self) -> proto::Metric {
        self.0.metric()
    }
}
