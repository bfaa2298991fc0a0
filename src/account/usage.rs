//! `GET /api/usage`: what the team's calls of a period came to, model by model.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::query::Period;
use super::reading::away;
use crate::credits::Credits;
use crate::ledger::{Ledger, Sums};
use crate::refusal::Refusal;
use crate::team::Team;

/// The usage of a period.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    period: &'static str,
    time_zone: String,
    /// The first day counted; of `all`, the first on which anything was.
    from: Date,
    to: Date,
    models: Vec<OfModel>,
    totals: Totals,
    generations: Stats,
}

#[derive(Debug, Serialize)]
struct OfModel {
    endpoint: String,
    #[serde(flatten)]
    totals: Totals,
}

/// What calls came to, as every report shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    requests: u64,
    completed: u64,
    /// Not executed: never sent, or refused by the upstream.
    failed: u64,
    /// Those of them that the upstream refused: they count as requests.
    refused: u64,
    unknown: u64,
    images: u64,
    video_seconds: f64,
    cost: Credits,
    #[serde(flatten)]
    rates: Rates,
}

impl Totals {
    /// Each number by the name it has in JSON, as a report writes it; nothing where there is none.
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

/// How calls ended, in Firemoon's words.
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
    /// The share of calls that were completed; `null` without any.
    success_rate: Option<f64>,
    /// Seconds in the queue and at the upstream, of completed calls, to the millisecond; `null` without any.
    average_latency: Option<f64>,
}

impl From<Sums> for Rates {
    #[allow(clippy::cast_precision_loss)] // no team makes so many calls
    fn from(sums: Sums) -> Self {
        let took = sums.queue_ms.saturating_add(sums.upstream_ms);
        Self {
            success_rate: (sums.calls() > 0).then(|| sums.charged as f64 / sums.calls() as f64),
            average_latency: took.checked_div(sums.charged).map(seconds),
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

/// Milliseconds as seconds, for people. Divided once: as a sum of seconds and nanoseconds, 1.57
/// would be shown as 1.5699999999999998.
#[allow(clippy::cast_precision_loss)] // exact for a quarter of a million years
pub(super) fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// What the team's calls of a period came to.
///
/// # Errors
/// `ledger_unavailable`.
pub async fn of(ledger: &dyn Ledger, team: &Team, period: Period, at: Timestamp) -> Result<View, Refusal> {
    let days = period.days(at.to_zoned(team.time_zone.clone()).date());
    let usage = ledger.usage(&team.id, days.clone()).await.map_err(|outage| away(&outage))?;
    let (first, to) = days.into_inner();
    let from = match period {
        Period::All => usage.first().map_or(to, |cell| cell.day),
        Period::Today | Period::Week | Period::Month | Period::Year => first,
    };
    let (mut models, mut totals) = (BTreeMap::<String, Sums>::new(), Sums::default());
    for cell in usage {
        *models.entry(cell.model).or_default() += cell.sums;
        totals += cell.sums;
    }
    let of_model = |(endpoint, sums)| OfModel { endpoint, totals: Totals::from(sums) };
    Ok(View {
        period: period.name(),
        time_zone: team.time_zone.iana_name().unwrap_or("UTC").to_owned(),
        from,
        to,
        models: models.into_iter().map(of_model).collect(),
        totals: Totals::from(totals),
        generations: Stats::from(totals),
    })
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_time_is_written_with_no_more_digits_than_milliseconds_have() {
        for (millis, text) in [(1570, "1.57"), (2047, "2.047"), (60_000, "60"), (0, "0")] {
            assert_eq!(seconds(millis).to_string(), text);
        }
    }
}
