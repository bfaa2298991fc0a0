//! A metric's series by their full label values. The library's `*Vec` types keep children under a
//! 64-bit hash of the concatenated values, so that two label sets can become one series; here the
//! values themselves are the key.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, Metric, MetricFamily};

use super::openmetrics::ByHistogram;
use super::series::{Counter, Histogram, Series};

/// The label value of the series that counts everything beyond the bound.
pub const OVERFLOW: &str = "_overflow";

/// Description of a metric, shared by its series.
#[derive(Clone, Debug)]
struct Head {
    name: &'static str,
    help: &'static str,
    desc: Desc,
}

impl Head {
    fn new(name: &'static str, help: &'static str, labels: &[&str]) -> prometheus::Result<Self> {
        let help = help.trim_start();
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let desc =
            Desc::new(name.to_owned(), help.to_owned(), labels, std::collections::HashMap::new())?;
        Ok(Self { name, help, desc })
    }

    fn family<S: Series>(&self, series: Vec<Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(S::TYPE);
        family.set_metric(series);
        family
    }
}

/// All series of one metric with labels. Clones share them.
#[derive(Clone, Debug)]
pub struct Family<S, const N: usize>(Arc<Shared<S, N>>);

#[derive(Debug)]
struct Shared<S, const N: usize> {
    head: Head,
    labels: [&'static str; N],
    buckets: &'static [f64],
    /// Sorted by label values. Series are only added.
    children: RwLock<Vec<Child<S, N>>>,
    children_max: usize,
    spare: S,
    overflowed: AtomicBool,
    dropped: Counter,
}

#[derive(Debug)]
struct Child<S, const N: usize> {
    values: [Box<str>; N],
    series: S,
}

impl<S: Series, const N: usize> Family<S, N> {
    /// A family without series; `dropped` counts lookups beyond its bound.
    ///
    /// # Errors
    /// A name that Prometheus does not accept, or buckets out of order.
    pub fn new(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        buckets: &'static [f64],
        dropped: &Counter,
    ) -> prometheus::Result<Self> {
        Ok(Self(Arc::new(Shared {
            head: Head::new(name, help, &labels)?,
            labels,
            buckets,
            children: RwLock::default(),
            children_max: S::CHILDREN_MAX,
            spare: S::new(buckets)?,
            overflowed: AtomicBool::new(false),
            dropped: dropped.clone(),
        })))
    }

    /// The series with these label values, made when it is missing. A full family returns the
    /// series labelled [`OVERFLOW`] and counts the loss. Keep the handle for values that every
    /// request uses.
    #[must_use]
    pub fn with(&self, values: [&str; N]) -> S {
        let found = {
            let children = self.0.children.read().unwrap_or_else(PoisonError::into_inner);
            find(&children, values).map(|at| children[at].series.clone()).ok()
        };
        found.unwrap_or_else(|| self.make(values))
    }

    /// Makes the series, so that it is shown before it counts anything.
    pub fn init(&self, values: [&str; N]) {
        let _ = self.with(values);
    }

    fn make(&self, values: [&str; N]) -> S {
        let mut children = self.0.children.write().unwrap_or_else(PoisonError::into_inner);
        let at = match find(&children, values) {
            Ok(at) => return children[at].series.clone(),
            Err(at) => at,
        };
        // The first series has proved the buckets good.
        match S::new(self.0.buckets) {
            Ok(series) if children.len() < self.0.children_max => {
                children
                    .insert(at, Child { values: values.map(Box::from), series: series.clone() });
                series
            }
            Ok(_) | Err(_) => {
                self.0.dropped.inc();
                self.0.overflowed.store(true, Ordering::Relaxed);
                self.0.spare.clone()
            }
        }
    }
}

impl<const N: usize> Family<Histogram, N> {
    /// The exemplars of all series, by family name and label values.
    pub(super) fn exemplars(&self, into: &mut ByHistogram) {
        let children = self.0.children.read().unwrap_or_else(PoisonError::into_inner);
        for child in children.iter() {
            let exemplars = child.series.exemplars();
            if !exemplars.is_empty() {
                let values = child.values.iter().map(|value| String::from(&**value)).collect();
                into.entry(self.0.head.name).or_default().insert(values, exemplars);
            }
        }
    }
}

/// The position of the child with these values, or where to insert it.
fn find<S, const N: usize>(children: &[Child<S, N>], values: [&str; N]) -> Result<usize, usize> {
    children
        .binary_search_by(|child| child.values.iter().map(Box::as_ref).cmp(values.iter().copied()))
}

impl<S: Series, const N: usize> Collector for Family<S, N> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.head.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let labelled = |series: &S, values: [&str; N]| {
            let mut metric = series.read();
            metric.set_label(
                self.0.labels.iter().zip(values).map(|(name, value)| pair(name, value)).collect(),
            );
            metric
        };
        let children = self.0.children.read().unwrap_or_else(PoisonError::into_inner);
        let shown = children
            .iter()
            .map(|child| labelled(&child.series, child.values.each_ref().map(Box::as_ref)));
        let overflowed = self.0.overflowed.load(Ordering::Relaxed);
        let overflow = overflowed.then(|| labelled(&self.0.spare, [OVERFLOW; N]));
        vec![self.0.head.family::<S>(shown.chain(overflow).collect())]
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// A metric without labels: one series that is always shown.
#[derive(Clone, Debug)]
pub struct Single<S> {
    head: Head,
    series: S,
}

impl<S: Series> Single<S> {
    /// The series, at zero.
    ///
    /// # Errors
    /// A name that Prometheus does not accept, or buckets out of order.
    pub fn new(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; 0],
        buckets: &'static [f64],
        _: &Counter,
    ) -> prometheus::Result<Self> {
        Ok(Self { head: Head::new(name, help, &labels)?, series: S::new(buckets)? })
    }

    /// A handle to the series.
    #[must_use]
    pub fn series(&self) -> S {
        self.series.clone()
    }

    /// The same metric, showing a series that is counted elsewhere.
    #[must_use]
    pub fn showing(mut self, series: S) -> Self {
        self.series = series;
        self
    }
}

impl<S> Deref for Single<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.series
    }
}

impl<S: Series> Collector for Single<S> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.head.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        vec![self.head.family::<S>(vec![self.series.read()])]
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::metrics::series::InFlight;

    fn family(children_max: usize) -> (Family<Counter, 2>, Counter) {
        let dropped = Counter::default();
        let family = Family::<Counter, 2>::new("m_total", " Help.", ["a", "b"], &[], &dropped)
            .expect("a family");
        let mut shared = Arc::try_unwrap(family.0).expect("the only one");
        shared.children_max = children_max;
        (Family(Arc::new(shared)), dropped)
    }

    /// The values that a scrape would show, by label values.
    fn shown(family: &Family<Counter, 2>) -> BTreeMap<(String, String), u64> {
        let collected = family.collect().remove(0);
        let series = collected.get_metric().iter().map(|metric| {
            let values: Vec<&str> = metric.get_label().iter().map(LabelPair::value).collect();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            ((values[0].to_owned(), values[1].to_owned()), metric.get_counter().get_value() as u64)
        });
        let all: Vec<_> = series.collect();
        let unique: BTreeMap<_, _> = all.iter().cloned().collect();
        assert_eq!(unique.len(), all.len(), "a series is shown twice");
        unique
    }

    #[test]
    fn label_values_that_concatenate_alike_stay_two_series() {
        let (family, _) = family(10);
        family.with(["a", "bc"]).inc();
        family.with(["ab", "c"]).add(2);
        family.with(["", "abc"]).add(3);
        assert_eq!(shown(&family).into_values().sum::<u64>(), 6);
        assert_eq!(shown(&family)[&("ab".to_owned(), "c".to_owned())], 2);
    }

    #[test]
    fn series_beyond_the_bound_share_one_and_are_counted() {
        let (family, dropped) = family(2);
        let held = family.with(["t1", "x"]);
        for team in ["t1", "t2", "t3", "t4"] {
            family.with([team, "x"]).inc();
        }
        held.inc();
        assert_eq!(dropped.get(), 2);
        let shown = shown(&family);
        assert_eq!(shown.len(), 3);
        assert_eq!(shown[&(OVERFLOW.to_owned(), OVERFLOW.to_owned())], 2);
        assert_eq!(shown[&("t1".to_owned(), "x".to_owned())], 2);
    }

    #[test]
    fn a_touched_series_is_shown_at_zero() {
        let (family, _) = family(2);
        family.init(["t1", "x"]);
        family.init(["t1", "x"]);
        assert_eq!(shown(&family).into_values().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn fractions_add_up_exactly_and_are_shown_in_whole_units() {
        let credits = Counter::<1_000_000>::default();
        (0..3).for_each(|_| credits.add(100_000));
        assert_eq!(credits.read().get_counter().get_value().to_string(), "0.3");
    }

    #[test]
    fn a_level_is_left_when_its_guard_is_dropped() {
        let level = InFlight::default();
        let (one, two) = (level.enter(), level.enter());
        assert_eq!(level.get(), 2);
        drop(one);
        assert_eq!(level.get(), 1);
        drop(two);
        assert_eq!(level.get(), 0);
    }

    proptest! {
        /// A scrape shows exactly what was counted, in whatever order and under whatever labels.
        #[test]
        fn a_scrape_shows_what_was_counted(
            steps in vec(("[ab\u{ff}]{0,3}", "[ab\u{ff}]{0,3}", 1_u64..5), 0..60)
        ) {
            let (family, dropped) = family(usize::MAX);
            let mut model: BTreeMap<(String, String), u64> = BTreeMap::new();
            for (one, two, count) in steps {
                family.with([&one, &two]).add(count);
                *model.entry((one, two)).or_default() += count;
            }
            prop_assert_eq!(shown(&family), model);
            prop_assert_eq!(dropped.get(), 0);
        }

        /// However many series are asked for, no more than the bound are shown, and nothing that
        /// was counted is lost.
        #[test]
        fn the_bound_holds_and_no_count_is_lost(
            names in vec("[a-c]{1,2}", 0..60),
            bound in 0_usize..6
        ) {
            let (family, _) = family(bound);
            names.iter().for_each(|name| family.with([name, ""]).inc());
            let shown = shown(&family);
            prop_assert!(shown.len() <= bound + 1);
            prop_assert_eq!(shown.into_values().sum::<u64>(), names.len() as u64);
        }
    }
}
