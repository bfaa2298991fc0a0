//! Metrics of the tokio runtimes, read with each scrape. Each worker has a runtime of its own.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use tokio::runtime::RuntimeMetrics;

/// The runtimes of the process, by name. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Runtimes(Arc<Mutex<Vec<(String, RuntimeMetrics)>>>);

/// One metric, for all runtimes.
struct Shown {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    read: fn(&RuntimeMetrics) -> f64,
}

#[allow(clippy::cast_precision_loss)] // counts of tasks and parks, for people
const SHOWN: [Shown; 4] = [
    Shown {
        name: "tokio_alive_tasks",
        help: "Tasks that have begun and not ended, by runtime.",
        kind: MetricType::GAUGE,
        read: |runtime| runtime.num_alive_tasks() as f64,
    },
    Shown {
        name: "tokio_global_queue_depth",
        help: "Tasks that other threads have woken and that wait to be run, by runtime.",
        kind: MetricType::GAUGE,
        read: |runtime| runtime.global_queue_depth() as f64,
    },
    Shown {
        name: "tokio_busy_seconds_total",
        help: "Time that the runtime's threads spent running tasks; a second a second is a thread \
               that is never idle.",
        kind: MetricType::COUNTER,
        read: |runtime| {
            let busy = |worker| runtime.worker_total_busy_duration(worker).as_secs_f64();
            (0..runtime.num_workers()).map(busy).sum()
        },
    },
    Shown {
        name: "tokio_parks_total",
        help: "Times that a thread of the runtime had nothing to do and slept.",
        kind: MetricType::COUNTER,
        read: |runtime| {
            let parks = |worker| runtime.worker_park_count(worker);
            (0..runtime.num_workers()).map(parks).sum::<u64>() as f64
        },
    },
];

impl Runtimes {
    /// Adds a runtime; its name becomes the label `runtime`.
    pub(super) fn add(&self, name: String, runtime: RuntimeMetrics) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((name, runtime));
    }
}

impl Shown {
    fn metric(&self, name: &str, runtime: &RuntimeMetrics) -> Metric {
        let mut label = LabelPair::default();
        label.set_name("runtime".to_owned());
        label.set_value(name.to_owned());
        let mut metric = Metric::default();
        metric.set_label(vec![label]);
        let value = (self.read)(runtime);
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        metric
    }
}

impl Collector for Runtimes {
    /// No descriptions, because the names are fixed and unique.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let runtimes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let family = |shown: Shown| {
            let mut family = MetricFamily::default();
            family.set_name(shown.name.to_owned());
            family.set_help(shown.help.to_owned());
            family.set_field_type(shown.kind);
            let metric = |(name, runtime): &(String, RuntimeMetrics)| shown.metric(name, runtime);
            family.set_metric(runtimes.iter().map(metric).collect());
            family
        };
        SHOWN.into_iter().map(family).collect()
    }
}
