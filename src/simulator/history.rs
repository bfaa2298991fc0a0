//! Generations of an account, and the two dashboard views of them, whose field names are not
//! documented.

use std::collections::{BTreeMap, VecDeque};

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde::Serialize;

use super::models::Makes;
use crate::credits::Credits;

/// A generation, successful or failed.
#[derive(Clone, Serialize)]
pub(super) struct Generation {
    pub(super) id: String,
    pub(super) endpoint: &'static str,
    pub(super) prompt: String,
    pub(super) status: Status,
    pub(super) cost: Credits,
    /// Seconds.
    pub(super) latency: f64,
    pub(super) outputs: Vec<String>,
    #[serde(rename = "createdAt")]
    pub(super) created_at: Timestamp,
    #[serde(skip)]
    pub(super) makes: Makes,
    #[serde(skip)]
    pub(super) units: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Completed,
    Failed,
}

/// Most kept generations; the oldest are dropped.
const KEPT: usize = 10_000;

pub(super) fn remember(history: &mut VecDeque<Generation>, generation: Generation) {
    history.push_back(generation);
    if history.len() > KEPT {
        history.pop_front();
    }
}

/// `GET /api/generations`, latest first.
#[derive(Serialize)]
pub(super) struct Page {
    generations: Vec<Generation>,
    stats: Stats,
    pagination: Pagination,
}

#[derive(Serialize)]
struct Pagination {
    limit: usize,
    offset: usize,
    total: usize,
    #[serde(rename = "hasMore")]
    has_more: bool,
}

#[derive(Default, Serialize)]
struct Stats {
    total: u64,
    completed: u64,
    failed: u64,
    #[serde(rename = "totalCost")]
    total_cost: Credits,
    #[serde(rename = "averageLatency")]
    average_latency: f64,
}

/// The part of the list that a query selects.
pub(super) fn page(history: &VecDeque<Generation>, query: &str) -> Page {
    let number = |name: &str| parameter(query, name).and_then(|text| text.parse::<usize>().ok());
    let limit = number("limit").unwrap_or(50).clamp(1, 100);
    let offset = number("offset").unwrap_or(0);
    let endpoint = parameter(query, "endpoint");
    let fits = |generation: &&Generation| {
        endpoint.as_deref().is_none_or(|endpoint| generation.endpoint == endpoint)
    };
    let all: Vec<&Generation> = history.iter().rev().filter(fits).collect();
    let generations: Vec<Generation> =
        all.iter().skip(offset).take(limit).map(|generation| (*generation).clone()).collect();
    let has_more = offset.saturating_add(generations.len()) < all.len();
    Page {
        generations,
        stats: stats(&all),
        pagination: Pagination { limit, offset, total: all.len(), has_more },
    }
}

fn stats(generations: &[&Generation]) -> Stats {
    let mut stats = Stats::default();
    for generation in generations {
        stats.total += 1;
        match generation.status {
            Status::Completed => stats.completed += 1,
            Status::Failed => stats.failed += 1,
        }
        stats.total_cost = stats.total_cost.plus(generation.cost);
        stats.average_latency += generation.latency;
    }
    #[allow(clippy::cast_precision_loss)] // at most KEPT
    let count = stats.total.max(1) as f64;
    stats.average_latency /= count;
    stats
}

/// `GET /api/usage`.
#[derive(Serialize)]
pub(super) struct Usage {
    period: String,
    models: Vec<ModelUsage>,
    totals: ModelUsage,
    generations: Stats,
}

#[derive(Clone, Default, Serialize)]
struct ModelUsage {
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'static str>,
    requests: u64,
    images: u64,
    #[serde(rename = "videoSeconds")]
    video_seconds: u64,
    cost: Credits,
}

/// Usage in the period of a query; the error is the message for an unknown period.
pub(super) fn usage(
    history: &VecDeque<Generation>,
    query: &str,
    now: Timestamp,
) -> Result<Usage, String> {
    let period = parameter(query, "period").unwrap_or_else(|| "all".into());
    let days = |days: i64| now.checked_sub((days * 24).hours()).unwrap_or(Timestamp::UNIX_EPOCH);
    let since = match period.as_str() {
        "today" => now.to_zoned(TimeZone::UTC).start_of_day().map_or(now, |day| day.timestamp()),
        "week" => days(7),
        "month" => days(30),
        "year" => days(365),
        "all" => Timestamp::MIN,
        _ => {
            return Err(
                "Invalid value for parameter period: must be one of today, week, month, year, all"
                    .into(),
            );
        }
    };
    let recent: Vec<&Generation> =
        history.iter().filter(|generation| generation.created_at >= since).collect();
    let mut models: BTreeMap<&'static str, ModelUsage> = BTreeMap::new();
    let mut totals = ModelUsage::default();
    for generation in &recent {
        let model = models.entry(generation.endpoint).or_default();
        model.endpoint = Some(generation.endpoint);
        for sums in [model, &mut totals] {
            sums.add(generation);
        }
    }
    Ok(Usage {
        period,
        models: models.into_values().collect(),
        totals,
        generations: stats(&recent),
    })
}

impl ModelUsage {
    fn add(&mut self, generation: &Generation) {
        self.requests += 1;
        self.cost = self.cost.plus(generation.cost);
        if generation.status == Status::Completed {
            match generation.makes {
                Makes::Image => self.images += u64::from(generation.units),
                Makes::Video => self.video_seconds += u64::from(generation.units),
            }
        }
    }
}

/// One parameter of a query string, decoded.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| decoded(value))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let coded = rest
            .get(1..3)
            .filter(|_| first == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(coded.unwrap_or(if first == b'+' { b' ' } else { first }));
        let length = if coded.is_some() { 3 } else { 1 };
        // The slice never begins inside a character: everything skipped is ASCII, or its first byte
        // is taken literally below.
        match rest.get(length..) {
            Some(after) => rest = after,
            None => {
                bytes.extend(rest.bytes().skip(1));
                break;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_and_decoded() {
        let query = "limit=10&endpoint=flux%2Fdev&text=a+b%zz";
        assert_eq!(parameter(query, "endpoint").as_deref(), Some("flux/dev"));
        assert_eq!(parameter(query, "text").as_deref(), Some("a b%zz"));
        assert_eq!(parameter(query, "offset"), None);
    }
}
