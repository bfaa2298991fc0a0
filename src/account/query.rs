//! Query parameters of the views, validated; the error lists every problem.

use std::borrow::Cow;

use jiff::ToSpan;
use jiff::civil::Date;

use crate::ledger::Days;
use crate::model::ModelId;
use crate::refusal::Refusal;

/// Default size of a page.
const LIMIT_DEFAULT: usize = 50;
/// Largest page.
const LIMIT_MAX: usize = 100;
/// Largest offset. Older calls are in the operator's export.
const OFFSET_MAX: usize = 1_000_000;

/// Decoded parameters of a query. Unknown ones are ignored, as Firemoon does.
#[derive(Debug)]
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Parses a query string.
    #[must_use]
    pub fn read(query: &'a str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).collect())
    }

    /// The value of a parameter; `None` when it is absent. Notes a problem if it is wrong.
    fn get<T>(
        &self,
        name: &str,
        problems: &mut Vec<String>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value);
        let value = values.next()?;
        if values.next().is_some() {
            problems.push(format!("{name} is given twice"));
            return None;
        }
        read(value).map_err(|must| problems.push(format!("{name} must be {must}"))).ok()
    }
}

fn none_wrong<T>(value: T, problems: Vec<String>) -> Result<T, Refusal> {
    if problems.is_empty() { Ok(value) } else { Err(Refusal::InvalidRequest(problems)) }
}

/// A page of calls, as requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Calls in the page.
    pub limit: usize,
    /// How many newer ones to skip.
    pub offset: usize,
    /// The model whose calls are wanted; `None` for all.
    pub endpoint: Option<ModelId>,
}

impl Page {
    /// Reads the page from a query.
    ///
    /// # Errors
    /// `invalid_request` with every wrong parameter.
    pub fn of(query: &Query<'_>) -> Result<Self, Refusal> {
        let mut problems = Vec::new();
        let number = |least: usize, most: usize| {
            move |text: &str| match text.parse() {
                Ok(number)
                    if (least..=most).contains(&number)
                        && text.bytes().all(|byte| byte.is_ascii_digit()) =>
                {
                    Ok(number)
                }
                _ => Err(format!("a whole number from {least} to {most}")),
            }
        };
        let limit =
            query.get("limit", &mut problems, number(1, LIMIT_MAX)).unwrap_or(LIMIT_DEFAULT);
        let offset = query.get("offset", &mut problems, number(0, OFFSET_MAX)).unwrap_or(0);
        let model =
            |text: &str| ModelId::parse(text).ok_or_else(|| "a model such as flux/dev".to_owned());
        let endpoint = query.get("endpoint", &mut problems, model);
        none_wrong(Self { limit, offset, endpoint }, problems)
    }
}

/// A period of usage, in the team's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Since midnight.
    Today,
    /// Since Monday.
    Week,
    /// Since the first of the month.
    Month,
    /// Since the first of January.
    Year,
    /// All usage that is kept.
    All,
    /// The calendar month before this one.
    LastMonth,
}

impl Period {
    /// Every period that Firemoon has a word for.
    pub const ALL: [Self; 5] = [Self::Today, Self::Week, Self::Month, Self::Year, Self::All];
    /// Every period.
    const OURS: [Self; 6] =
        [Self::Today, Self::Week, Self::Month, Self::LastMonth, Self::Year, Self::All];

    /// Reads the period from a query; default is all.
    ///
    /// # Errors
    /// `invalid_request` for any other value.
    pub fn of(query: &Query<'_>) -> Result<Self, Refusal> {
        Self::among(query, &Self::ALL, Self::All)
    }

    /// Reads the period from a query in our own names; default is the current month.
    ///
    /// # Errors
    /// `invalid_request` for any other word.
    pub fn of_ours(query: &Query<'_>) -> Result<Self, Refusal> {
        Self::among(query, &Self::OURS, Self::Month)
    }

    fn among(query: &Query<'_>, words: &[Self], default: Self) -> Result<Self, Refusal> {
        let mut problems = Vec::new();
        let word = |text: &str| {
            let found = words.iter().find(|period| period.name() == text).copied();
            let names = || words.iter().map(|period| period.name()).collect::<Vec<_>>().join(", ");
            found.ok_or_else(|| format!("one of {}", names()))
        };
        let period = query.get("period", &mut problems, word).unwrap_or(default);
        none_wrong(period, problems)
    }

    /// The name in the query.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
            Self::All => "all",
            Self::LastMonth => "last_month",
        }
    }

    /// Days of the period, up to today unless it has ended.
    #[must_use]
    pub fn days(self, today: Date) -> Days {
        let this_month = today.first_of_month();
        let first = match self {
            Self::Today => today,
            Self::Week => {
                today.saturating_sub(i32::from(today.weekday().to_monday_zero_offset()).days())
            }
            Self::Month => this_month,
            Self::LastMonth => {
                return this_month.saturating_sub(1.month())..=this_month.saturating_sub(1.day());
            }
            Self::Year => today.first_of_year(),
            Self::All => Date::MIN,
        };
        first..=today
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn problems<T>(read: Result<T, Refusal>) -> Vec<String> {
        read.err().map(|refusal| refusal.problems()).unwrap_or_default()
    }

    #[test]
    fn a_page_has_50_calls_newest_first_by_default() {
        let page = |query: &str| Page::of(&Query::read(query));
        assert_eq!(page("").expect("good"), Page { limit: 50, offset: 0, endpoint: None });
        assert_eq!(page("what=ever&x").expect("good").limit, 50);
        let page = page("limit=100&offset=200&endpoint=flux%2Fdev").expect("good");
        assert_eq!(
            (page.limit, page.offset, page.endpoint),
            (100, 200, ModelId::parse("flux/dev"))
        );
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        let page = |query: &str| problems(Page::of(&Query::read(query)));
        let limit = "limit must be a whole number from 1 to 100";
        for query in [
            "limit=0",
            "limit=101",
            "limit=",
            "limit=+5",
            "limit=1e1",
            "limit=-1",
            "limit=99999999999999999999",
        ] {
            assert_eq!(page(query), [limit], "{query}");
        }
        assert_eq!(
            page("limit=x&offset=-1&endpoint=%00"),
            [
                limit,
                "offset must be a whole number from 0 to 1000000",
                "endpoint must be a model such as flux/dev"
            ]
        );
        assert_eq!(page("limit=5&limit=6"), ["limit is given twice"]);
        let period = problems(Period::of(&Query::read("period=Month")));
        assert_eq!(period, ["period must be one of today, week, month, year, all"]);
        let period = problems(Period::of(&Query::read("period=last_month")));
        assert_eq!(period, ["period must be one of today, week, month, year, all"]);
        let ours = |query: &str| Period::of_ours(&Query::read(query));
        assert_eq!(ours("").expect("a period"), Period::Month);
        assert_eq!(ours("period=last_month").expect("a period"), Period::LastMonth);
        assert_eq!(
            problems(ours("period=2026-10")),
            ["period must be one of today, week, month, last_month, year, all"]
        );
    }

    #[test]
    fn periods_begin_where_the_calendar_says() {
        let first = |period: Period, today: &str| {
            period.days(today.parse().expect("a day")).start().to_string()
        };
        let begins = |today: &str| {
            [Period::Today, Period::Week, Period::Month, Period::Year].map(|p| first(p, today))
        };
        assert_eq!(begins("2026-11-22"), ["2026-11-22", "2026-11-16", "2026-11-01", "2026-01-01"]);
        let last = |today: &str| {
            let days = Period::LastMonth.days(today.parse().expect("a day"));
            format!("{} to {}", days.start(), days.end())
        };
        assert_eq!(last("2026-11-22"), "2026-10-01 to 2026-10-31");
        assert_eq!(last("2027-01-01"), "2026-12-01 to 2026-12-31");
        assert_eq!(last("2028-03-31"), "2028-02-01 to 2028-02-29");
        assert_eq!(begins("2027-01-01"), ["2027-01-01", "2026-12-28", "2027-01-01", "2027-01-01"]);
        assert_eq!(begins("2028-02-29"), ["2028-02-29", "2028-02-28", "2028-02-01", "2028-01-01"]);
    }
}
