//! The text format of OpenMetrics 1.0, which carries exemplars and which the library cannot write.
//!
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>

use std::collections::HashMap;
use std::fmt::{self, Write};

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::exemplars::Exemplar;

/// Exemplars by family and label values; for each histogram, by bucket.
pub(super) type ByHistogram = HashMap<&'static str, HashMap<Vec<String>, Vec<Option<Exemplar>>>>;

/// Writes all families.
///
/// # Errors
/// Those of `out` only.
pub(super) fn write(
    families: &[MetricFamily],
    exemplars: &ByHistogram,
    out: &mut impl Write,
) -> fmt::Result {
    for family in families {
        let kind = family.get_field_type();
        // The name of a counter has no suffix, while its sample has.
        let (name, called) = match kind {
            MetricType::COUNTER => {
                (family.name().strip_suffix("_total").unwrap_or(family.name()), "counter")
            }
            MetricType::GAUGE => (family.name(), "gauge"),
            MetricType::HISTOGRAM => (family.name(), "histogram"),
            MetricType::SUMMARY | MetricType::UNTYPED => (family.name(), "unknown"),
        };
        writeln!(out, "# HELP {name} {}", Escaped(family.help()))?;
        writeln!(out, "# TYPE {name} {called}")?;
        for metric in family.get_metric() {
            match kind {
                MetricType::COUNTER => {
                    let value = metric.get_counter().get_value();
                    sample(out, &[name, "_total"], metric.get_label(), value)?;
                }
                MetricType::GAUGE => {
                    sample(out, &[name], metric.get_label(), metric.get_gauge().get_value())?;
                }
                MetricType::HISTOGRAM => histogram(out, name, metric, exemplars)?,
                MetricType::SUMMARY | MetricType::UNTYPED => {}
            }
        }
    }
    writeln!(out, "# EOF")
}

fn histogram(
    out: &mut impl Write,
    name: &str,
    metric: &Metric,
    exemplars: &ByHistogram,
) -> fmt::Result {
    let (labels, histogram) = (metric.get_label(), metric.get_histogram());
    let values = labels.iter().map(|label| label.value().to_owned()).collect::<Vec<_>>();
    let known = exemplars.get(name).and_then(|histograms| histograms.get(&values));
    let mut exemplars = known.map(Vec::as_slice).unwrap_or_default().iter();
    let count = histogram.get_sample_count();
    let bounds = histogram.get_bucket().iter();
    let bounds = bounds.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    for (bound, cumulative) in bounds.chain([(f64::INFINITY, count)]) {
        labelled(out, &[name, "_bucket"], labels, Some(bound))?;
        write!(out, " {cumulative}")?;
        if let Some(Some(Exemplar { trace, duration, at })) = exemplars.next() {
            let (trace, at) = (trace.text(), at.as_duration());
            let (seconds, millis) = (at.as_secs(), at.subsec_millis());
            write!(out, " # {{trace_id=\"{}\"}} ", trace.trace_id())?;
            write!(out, "{} {seconds}.{millis:03}", duration.as_secs_f64())?;
        }
        writeln!(out)?;
    }
    sample(out, &[name, "_sum"], labels, histogram.get_sample_sum())?;
    labelled(out, &[name, "_count"], labels, None)?;
    writeln!(out, " {count}")
}

fn sample(out: &mut impl Write, name: &[&str], labels: &[LabelPair], value: f64) -> fmt::Result {
    labelled(out, name, labels, None)?;
    writeln!(out, " {}", Number(value))
}

fn labelled(
    out: &mut impl Write,
    name: &[&str],
    labels: &[LabelPair],
    bound: Option<f64>,
) -> fmt::Result {
    name.iter().try_for_each(|part| out.write_str(part))?;
    let mut before = '{';
    for label in labels {
        write!(out, "{before}{}=\"{}\"", label.name(), Escaped(label.value()))?;
        before = ',';
    }
    if let Some(bound) = bound {
        // Writes the bound as the older format does, so that a histogram's labels do not depend on
        // the format.
        write!(out, "{before}le=\"{}\"", Number(bound))?;
        before = ',';
    }
    if before == ',' { out.write_char('}') } else { Ok(()) }
}

/// A number in the notation of both formats.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            number if number == f64::INFINITY => f.write_str("+Inf"),
            number if number == f64::NEG_INFINITY => f.write_str("-Inf"),
            number if number.is_nan() => f.write_str("NaN"),
            number => number.fmt(f),
        }
    }
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}
