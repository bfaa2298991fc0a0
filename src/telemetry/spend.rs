//! Gauges of each team's spend, read from the ledger. Counters of a replica end with its process,
//! and Prometheus misses what they counted after the last scrape; these gauges show the ledger's
//! own sums, the same on every replica.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Metrics;
use super::metrics::teams::OTHER;
use crate::clock::Clock;
use crate::ledger::{Ledger, Outage, Outcome, Sums};
use crate::model::ModelId;
use crate::team::{Team, TeamId};

/// Age at which the sums of past days are read again. A call ends within minutes, so only a
/// restored store changes a day that is over.
const PAST_BELIEVED: Duration = Duration::from_secs(3600);

/// Failures in a row after which the other teams wait for the next tick: a store that is down is
/// not asked for each of a thousand teams.
const FAILURES_MAX: usize = 5;

/// Days that a gauge sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Today, in the team's time zone.
    Today,
    /// The current month until today.
    Month,
    /// The month before.
    LastMonth,
    /// Every day that the ledger keeps.
    Total,
}

impl Period {
    /// All of them; a period's place here is its place in [`Spent`].
    pub const ALL: [Self; 4] = [Self::Today, Self::Month, Self::LastMonth, Self::Total];

    /// The period's name as a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Month => "month",
            Self::LastMonth => "last_month",
            Self::Total => "total",
        }
    }

    fn covers(self, day: Date, today: Date) -> bool {
        match self {
            Self::Today => day == today,
            Self::Month => day.first_of_month() == today.first_of_month(),
            Self::LastMonth => day.first_of_month() == first_of_last_month(today),
            Self::Total => true,
        }
    }
}

fn first_of_last_month(today: Date) -> Date {
    today.first_of_month().saturating_sub(1.month())
}

/// Sums of each model in each period.
pub type Spent = BTreeMap<String, [Sums; Period::ALL.len()]>;

/// Reads each team's spend from the ledger and sets the gauges.
pub struct SpendWatch<T> {
    ledger: Arc<dyn Ledger>,
    metrics: Arc<Metrics>,
    teams: T,
    clock: Clock,
    known: HashMap<TeamId, Known>,
}

/// Sums of a team as they were last read, and as the gauges show them.
struct Known {
    today: Date,
    read_at: Duration,
    /// Sums of the days before last month.
    oldest: Spent,
    /// Sums of the days before yesterday.
    past: Spent,
    shown: Spent,
}

impl<T: Fn() -> Vec<Arc<Team>>> SpendWatch<T> {
    /// Creates a watch; nothing is read yet.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, metrics: Arc<Metrics>, teams: T, clock: Clock) -> Self {
        Self { ledger, metrics, teams, clock, known: HashMap::new() }
    }

    /// Reads periodically until it is stopped.
    pub async fn run(mut self, every: Duration, stop: CancellationToken) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            if stop.run_until_cancelled(self.read()).await.is_none() {
                return;
            }
        }
    }

    /// Reads every team of the configuration and of the ledger once. Gauges of a team that cannot
    /// be read stay as they are.
    pub async fn read(&mut self) {
        let configured = (self.teams)();
        let priced: HashSet<&ModelId> =
            configured.iter().flat_map(|team| team.prices.models.keys()).collect();
        let priced: HashSet<&str> = priced.into_iter().map(ModelId::as_str).collect();
        let mut zones: BTreeMap<TeamId, TimeZone> = BTreeMap::new();
        // The days of a team that has left the configuration begin in UTC, as in every report.
        match self.ledger.teams().await {
            Ok(teams) => zones.extend(teams.into_iter().map(|team| (team, TimeZone::UTC))),
            Err(outage) => tracing::debug!(%outage, "the ledger's teams could not be read"),
        }
        zones.extend(configured.iter().map(|team| (team.id.clone(), team.time_zone.clone())));
        let mut failures = 0;
        for (team, zone) in zones {
            match self.read_team(&team, zone, &priced).await {
                Ok(()) => failures = 0,
                Err(outage) => {
                    tracing::debug!(%outage, %team, "what a team has spent could not be read");
                    failures += 1;
                }
            }
            if failures == FAILURES_MAX {
                return;
            }
        }
    }

    async fn read_team(
        &mut self,
        team: &TeamId,
        zone: TimeZone,
        priced: &HashSet<&str>,
    ) -> Result<(), Outage> {
        let (today, now) = (self.clock.now().to_zoned(zone).date(), self.clock.elapsed());
        let is_good = |known: &Known| {
            known.today == today && now.saturating_sub(known.read_at) < PAST_BELIEVED
        };
        let mut known = match self.known.remove(team) {
            Some(known) if is_good(&known) => known,
            before => match self.read_past(team, today, before.as_ref()).await {
                Ok((oldest, past)) => {
                    let shown = before.map(|before| before.shown).unwrap_or_default();
                    Known { today, read_at: now, oldest, past, shown }
                }
                Err(outage) => {
                    self.known.extend(before.map(|before| (team.clone(), before)));
                    return Err(outage);
                }
            },
        };
        let mut spent = known.past.clone();
        let yesterday = today.saturating_sub(1.day());
        let added = self.add(team, yesterday, today, today, &mut spent).await;
        if added.is_ok() {
            let spent = labelled(spent, priced);
            self.metrics.spent(team, &known.shown, &spent);
            known.shown = spent;
        }
        self.known.insert(team.clone(), known);
        added
    }

    /// Sums of the days before last month, and of those before yesterday. The first may be years,
    /// so they are read again only when the month changes.
    async fn read_past(
        &self,
        team: &TeamId,
        today: Date,
        before: Option<&Known>,
    ) -> Result<(Spent, Spent), Outage> {
        let first = first_of_last_month(today);
        let oldest = match before {
            Some(before) if first_of_last_month(before.today) == first => before.oldest.clone(),
            Some(_) | None => {
                let (mut oldest, last) = (Spent::new(), first.saturating_sub(1.day()));
                self.add(team, Date::MIN, last, today, &mut oldest).await?;
                oldest
            }
        };
        let mut past = oldest.clone();
        self.add(team, first, today.saturating_sub(2.days()), today, &mut past).await?;
        Ok((oldest, past))
    }

    /// Adds the usage of these days.
    async fn add(
        &self,
        team: &TeamId,
        first: Date,
        last: Date,
        today: Date,
        spent: &mut Spent,
    ) -> Result<(), Outage> {
        for usage in self.ledger.usage(team, first..=last).await? {
            let periods = spent.entry(usage.model).or_default();
            for (period, sums) in Period::ALL.into_iter().zip(periods) {
                if period.covers(usage.day, today) {
                    *sums += usage.sums;
                }
            }
        }
        Ok(())
    }
}

/// Sums by label: each model of the price table, and all others as one, since no label is made of
/// what a caller sent.
fn labelled(spent: Spent, priced: &HashSet<&str>) -> Spent {
    let mut labelled = Spent::new();
    for (model, periods) in spent {
        let label = if priced.contains(model.as_str()) { model } else { OTHER.to_owned() };
        let sums = labelled.entry(label).or_default();
        sums.iter_mut().zip(periods).for_each(|(sums, more)| *sums += more);
    }
    labelled
}

impl Metrics {
    /// Sets the gauges that differ from what they show. A series begins with its first call, since
    /// most teams use few models.
    pub fn spent(&self, team: &TeamId, shown: &Spent, spent: &Spent) {
        let none = [Sums::default(); Period::ALL.len()];
        let gone = shown.keys().filter(|model| !spent.contains_key(*model));
        for model in spent.keys().chain(gone) {
            let before = shown.get(model).unwrap_or(&none);
            let after = spent.get(model).unwrap_or(&none);
            for (period, (before, after)) in Period::ALL.into_iter().zip(before.iter().zip(after)) {
                if before != after {
                    self.spent_in(team, model, period, before, after);
                }
            }
        }
    }

    fn spent_in(&self, team: &TeamId, model: &str, period: Period, before: &Sums, after: &Sums) {
        let (team, period) = (team.as_str(), period.name());
        let credits = self.catalogue().team_spent_credits.with([team, model, period]);
        credits.set(after.credits.for_display());
        for (outcome, (before, after)) in
            OUTCOMES.into_iter().zip(by_outcome(before).into_iter().zip(by_outcome(after)))
        {
            if before != after {
                let labels = [team, model, period, outcome.name()];
                #[allow(clippy::cast_precision_loss)] // no team makes so many calls
                self.catalogue().team_calls.with(labels).set(after as f64);
            }
        }
    }
}

const OUTCOMES: [Outcome; 4] =
    [Outcome::Charged, Outcome::Released, Outcome::Refused, Outcome::Unknown];

/// Calls by outcome, in the order of [`OUTCOMES`].
const fn by_outcome(sums: &Sums) -> [u64; 4] {
    [sums.charged, sums.released, sums.refused, sums.unknown]
}
