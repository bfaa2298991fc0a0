//! `GET /gateway/v1/usage`: totals of the team's calls in a period, by day, by model and by user.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::named::{Named, Names};
use super::query::Period;
use super::reading::away;
use super::usage::{OfModel, Totals, first_day};
use crate::ledger::usage::OVERFLOW;
use crate::ledger::{Ledger, Sums};
use crate::refusal::Refusal;
use crate::team::Team;

/// Most users listed, those first who spent the most. All others are one entry named [`OVERFLOW`].
const USERS_MAX: usize = 100;

/// The spend of a period.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    period: &'static str,
    time_zone: String,
    /// The first day of the period; for `all`, the first with any usage.
    from: Date,
    to: Date,
    /// Days with any usage.
    days: Vec<OfDay>,
    models: Vec<OfModel>,
    users: Vec<Named<OfUser>>,
    totals: Totals,
}

#[derive(Debug, Serialize)]
struct OfDay {
    day: Date,
    #[serde(flatten)]
    totals: Totals,
}

#[derive(Debug, Serialize)]
struct OfUser {
    user: String,
    #[serde(flatten)]
    totals: Totals,
}

/// Totals of the team's calls in a period.
///
/// # Errors
/// `ledger_unavailable`.
pub async fn of(
    ledger: &dyn Ledger,
    team: &Team,
    names: Names<'_>,
    period: Period,
    at: Timestamp,
) -> Result<View, Refusal> {
    let days = period.days(at.to_zoned(team.time_zone.clone()).date());
    let usage = ledger.usage(&team.id, days.clone()).await.map_err(|outage| away(&outage))?;
    let from = first_day(period, &days, &usage);
    let (mut by_day, mut by_model) = (BTreeMap::<Date, Sums>::new(), BTreeMap::new());
    let (mut by_user, mut totals) = (BTreeMap::new(), Sums::default());
    for cell in usage {
        *by_day.entry(cell.day).or_default() += cell.sums;
        *by_model.entry(cell.model).or_default() += cell.sums;
        *by_user.entry(cell.user).or_default() += cell.sums;
        totals += cell.sums;
    }
    Ok(View {
        period: period.name(),
        time_zone: team.zone_name(),
        from,
        to: *days.end(),
        days: by_day.into_iter().map(|(day, sums)| OfDay { day, totals: sums.into() }).collect(),
        models: by_model.into_iter().map(OfModel::from).collect(),
        users: users(by_user)
            .into_iter()
            .map(|(user, sums)| names.with(&user.clone(), OfUser { user, totals: sums.into() }))
            .collect(),
        totals: totals.into(),
    })
}

/// Users by spending, the highest first; all beyond [`USERS_MAX`] as one.
fn users(by_user: BTreeMap<String, Sums>) -> Vec<(String, Sums)> {
    let mut all: Vec<(String, Sums)> = by_user.into_iter().collect();
    // The ledger's own overflow entry is sorted last, so that it becomes part of the one made here.
    all.sort_by_key(|(user, sums)| (user == OVERFLOW, std::cmp::Reverse(sums.credits)));
    let rest = all.split_off(all.len().min(USERS_MAX));
    if !rest.is_empty() {
        let mut others = Sums::default();
        rest.into_iter().for_each(|(_, sums)| others += sums);
        all.push((OVERFLOW.to_owned(), others));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credits::Credits;

    fn spent(micros: u64) -> Sums {
        Sums { charged: 1, credits: Credits::from_micros(micros), ..Sums::default() }
    }

    #[test]
    fn users_beyond_a_hundred_are_counted_as_one() {
        let named = |number: u64| (format!("user-{number}"), spent(number));
        let few = users((1..=3).map(named).chain([("*".to_owned(), spent(9))]).collect());
        let names: Vec<&str> = few.iter().map(|(user, _)| user.as_str()).collect();
        assert_eq!(names, ["user-3", "user-2", "user-1", "*"]);
        let many = users((1..=102).map(named).chain([("*".to_owned(), spent(9))]).collect());
        assert_eq!(many.len(), 101);
        let (user, others) = many.last().cloned().unwrap_or_default();
        assert_eq!((user.as_str(), others.calls()), ("*", 3));
        assert_eq!(others.credits.to_string(), "0.000012", "the two smallest, and the others");
    }
}
