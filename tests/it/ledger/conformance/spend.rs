//! Cases: what every team has spent is shown from the ledger, by period and model.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use moongate::ledger::Outcome;
use moongate::model::ModelId;
use moongate::pricing::{Price, PriceTable};
use moongate::team::{Limits, ModelRules, State, Team, TeamId};
use moongate::telemetry::metrics::Format;
use moongate::telemetry::{Metrics, SpendWatch};

use super::Bench;
use super::harness::{Fixture, PRICE, call};

/// A team of Berlin; one model has a price.
fn team(name: &str) -> Arc<Team> {
    let price = (ModelId::parse("flux/dev").unwrap(), Price::free());
    Arc::new(Team {
        id: TeamId::parse(name).unwrap(),
        state: State::Active,
        suspended_users: HashSet::new(),
        models: ModelRules::parse(["*"]).unwrap(),
        limits: Arc::new(Limits::default()),
        user_limits: Arc::default(),
        weight: 1,
        time_zone: TimeZone::get("Europe/Berlin").unwrap(),
        prices: Arc::new(PriceTable {
            version: "1".to_owned(),
            models: [price].into_iter().collect(),
            unknown_model: None,
        }),
    })
}

/// The gauges of what was spent, without their common beginning.
fn shown(metrics: &Metrics, name: &str) -> Vec<String> {
    let text = String::from_utf8(metrics.render(Format::Text)).unwrap();
    let start = format!("moongate_{name}{{");
    let mut lines: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn spent(team: &str, model: &str, amounts: &[(&str, &str)]) -> Vec<String> {
    let line = |(period, amount): &(&str, &str)| {
        format!("team=\"{team}\",model=\"{model}\",period=\"{period}\"}} {amount}")
    };
    amounts.iter().map(line).collect()
}

/// The first lines are those of the team design and its first model.
fn assert_flux_spent(metrics: &Metrics, amounts: &[(&str, &str); 4]) {
    let lines = shown(metrics, "team_spent_credits");
    assert_eq!(lines[..4], spent("design", "flux/dev", amounts));
}

fn assert_each_call_is_shown_today(metrics: &Metrics) {
    let today = |team: &str, model: &str, outcome: &str| {
        format!("team=\"{team}\",model=\"{model}\",period=\"today\",outcome=\"{outcome}\"}} 1")
    };
    let mut calls = shown(metrics, "team_calls");
    calls.retain(|line| line.contains("today"));
    assert_eq!(
        calls,
        [
            today("design", "flux/dev", "charged"),
            today("design", "flux/dev", "refused"),
            today("design", "flux/dev", "unknown"),
            today("design", "other", "charged"),
            today("left", "flux/dev", "charged"),
        ]
    );
}

pub(crate) async fn what_teams_have_spent_is_shown_by_period<B: Bench>() {
    let fixture = Fixture::<B>::open_at("2026-09-15T10:00:00Z").await;
    let own = call().zone("Europe/Berlin");
    let metrics = Arc::new(Metrics::new(fixture.clock.clone()).unwrap());
    let mut watch = SpendWatch::new(
        Arc::clone(&fixture.ledger),
        Arc::clone(&metrics),
        || vec![team("design"), team("idle")],
        fixture.clock.clone(),
    );
    watch.read().await;
    assert_eq!(shown(&metrics, "team_spent_credits"), <[String; 0]>::default());

    fixture.pay(&own).await;
    // The first moment is in October in Berlin; the second in November there, and in October in
    // London.
    for time in ["2026-10-31T22:59:59Z", "2026-10-31T23:00:00Z", "2026-11-21T12:00:00Z"] {
        fixture.set(time);
        fixture.pay(&own).await;
    }
    fixture.set("2026-11-22T10:00:00Z");
    fixture.pay(&own).await;
    let unknown = fixture.admit(&own).await;
    fixture.settle(&own, unknown, Outcome::Unknown, PRICE).await;
    let refused = fixture.admit(&own).await;
    fixture.settle(&own, refused, Outcome::Refused, 0).await;
    fixture.pay(&own.clone().model("made/up")).await;
    fixture.pay(&call().team("left").price(1)).await;
    watch.read().await;
    let of_flux = [("last_month", "0.1"), ("month", "0.4"), ("today", "0.2"), ("total", "0.6")];
    let of_other = [("month", "0.1"), ("today", "0.1"), ("total", "0.1")];
    let of_left = [("month", "0.000001"), ("today", "0.000001"), ("total", "0.000001")];
    let expected = [
        spent("design", "flux/dev", &of_flux),
        spent("design", "other", &of_other),
        spent("left", "flux/dev", &of_left),
    ];
    assert_eq!(shown(&metrics, "team_spent_credits"), expected.concat());
    assert_each_call_is_shown_today(&metrics);

    // A call that ends the day after still belongs to the day that admitted it.
    let late = fixture.admit(&own).await;
    fixture.set("2026-11-22T23:00:10Z");
    fixture.settle(&own, late, Outcome::Charged, PRICE).await;
    watch.read().await;
    let of_flux = [("last_month", "0.1"), ("month", "0.5"), ("today", "0"), ("total", "0.7")];
    assert_flux_spent(&metrics, &of_flux);

    fixture.set("2026-12-01T10:00:00Z");
    watch.read().await;
    let of_flux = [("last_month", "0.5"), ("month", "0"), ("today", "0"), ("total", "0.7")];
    assert_flux_spent(&metrics, &of_flux);

    fixture.pay(&own).await;
    fixture.pass(Duration::from_secs(31 * 24 * 3600));
    watch.read().await;
    let of_flux = [("last_month", "0.1"), ("month", "0"), ("today", "0"), ("total", "0.8")];
    assert_flux_spent(&metrics, &of_flux);
}
