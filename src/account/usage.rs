//! `GET /api/usage`: totals of a team's calls in a period, by model.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::query::Period;
use super::reading::away;
use crate::credits::Credits;
use crate::ledger::{Days, Ledger, Sums, Usage};
use crate::refusal::Refusal;
use crate::team::Team;

/// Usage in a period.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    period: &'static str,
    time_zone: String,
    /// The first day of the period; for `all`, the first with any usage.
    from: Date,
    to: Date,
    models: Vec<OfModel>,
    totals: Totals,
    generations: Stats,
}

/// Totals of a model's calls.
#[derive(Debug, Serialize)]
pub struct OfModel {
    endpoint: String,
    #[serde(flatten)]
    totals: Totals,
}

impl From<(String, Sums)> for OfModel {
    fn from((endpoint, sums): (String, Sums)) -> Self {
        Self { endpoint, totals: Totals::from(sums) }
    }
}

/// Totals of calls, as in every report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    requests: u64,
    completed: u64,
    /// Calls that were not executed: never sent, or refused by the upstream.
    failed: u64,
    /// Those among them that the upstream refused, which count as requests.
    refused: u64,
    unknown: u64,
    images: u64,
    video_seconds: f64,
    cost: Credits,
    #[serde(flatten)]
    rates: Rates,
}

impl Totals {
    /// Each number with its JSON name, as text; empty where there is none.
    #[must_use]
    pub fn cells(&self) -> [(&'static str, String); 10] {
        let rate = |rate: Option<f64>| rate.map(|rate| rate.to_string()).unwrap_or_default();
        [
            ("requests", self.requests.to_string()),
            ("completed", self.completed.to_string()),
            ("failed", self.failed.to_string()),
            ("refused", self.refused.to_string()),
            ("unknown", self.unknown.to_string()),
            ("images", self.images.to_string()),
            ("videoSeconds", self.video_seconds.to_string()),
            ("cost", self.cost.to_string()),
            ("successRate", rate(self.rates.success_rate)),
            ("averageLatency", rate(self.rates.average_latency)),
        ]
    }
}

/// Statistics of calls, with Firemoon's names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    total: u64,
    completed: u64,
    failed: u64,
    refused: u64,
    unknown: u64,
    total_cost: Credits,
    #[serde(flatten)]
    rates: Rates,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rates {
    /// Share of completed calls; `null` if there are no calls.
    success_rate: Option<f64>,
    /// Mean seconds in the queue and at the upstream, of completed calls, to the millisecond;
    /// `null` without any.
    average_latency: Option<f64>,
}

impl From<Sums> for Rates {
    #[allow(clippy::cast_precision_loss)] // no team makes so many calls
    fn from(sums: Sums) -> Self {
        let total_ms = sums.queue_ms.saturating_add(sums.upstream_ms);
        Self {
            success_rate: (sums.calls() > 0).then(|| sums.charged as f64 / sums.calls() as f64),
            average_latency: total_ms.checked_div(sums.charged).map(seconds),
        }
    }
}

impl From<Sums> for Totals {
    fn from(sums: Sums) -> Self {
        Self {
            requests: sums.calls(),
            completed: sums.charged,
            failed: sums.released + sums.refused,
            refused: sums.refused,
            unknown: sums.unknown,
            images: sums.images,
            video_seconds: seconds(sums.video_ms),
            cost: sums.credits,
            rates: Rates::from(sums),
        }
    }
}

impl From<Sums> for Stats {
    fn from(sums: Sums) -> Self {
        Self {
            total: sums.calls(),
            completed: sums.charged,
            failed: sums.released + sums.refused,
            refused: sums.refused,
            unknown: sums.unknown,
            total_cost: sums.credits,
            rates: Rates::from(sums),
        }
    }
}

/// Milliseconds as seconds. Divided once: as a sum of seconds and nanoseconds 1.57 would be
/// 1.5699999999999998.
#[allow(clippy::cast_precision_loss)] // exact for a quarter of a million years
pub(super) fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// Totals of a team's calls in a period.
///
/// # Errors
/// `ledger_unavailable`.
pub async fn of(
    ledger: &dyn Ledger,
    team: &Team,
    period: Period,
    at: Timestamp,
) -> Result<View, Refusal> {
    let days = period.days(at.to_zoned(team.time_zone.clone()).date());
    let usage = ledger.usage(&team.id, days.clone()).await.map_err(|outage| away(&outage))?;
    let from = first_day(period, &days, &usage);
    let (mut models, mut totals) = (BTreeMap::<String, Sums>::new(), Sums::default());
    for cell in usage {
        *models.entry(cell.model).or_default() += cell.sums;
        totals += cell.sums;
    }
    Ok(View {
        period: period.name(),
        time_zone: team.zone_name(),
        from,
        to: *days.end(),
        models: models.into_iter().map(OfModel::from).collect(),
        totals: Totals::from(totals),
        generations: Stats::from(totals),
    })
}

/// The first day that is counted; without a beginning, the first on which anything was.
pub(super) fn first_day(period: Period, days: &Days, usage: &[Usage]) -> Date {
    match period {
        Period::All => usage.first().map_or(*days.end(), |cell| cell.day),
        Period::Today | Period::Week | Period::Month | Period::LastMonth | Period::Year => {
            *days.start()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_time_is_written_in_milliseconds_at_most() {
        for (millis, text) in [(1570, "1.57"), (2047, "2.047"), (60_000, "60"), (0, "0")] {
            assert_eq!(seconds(millis).to_string(), text);
        }
    }
}
