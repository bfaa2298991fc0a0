//! What a scrape shows of a gateway that worked: values, labels, and what a reload leaves alone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::*;
use crate::admission::Observer as _;
use crate::admission::observe::Result as SettlementResult;
use crate::credits::Credits;
use crate::identity::Observer as _;
use crate::ledger::{LimitStatus, Observer as _, Scope, Swept, SweptCharge};
use crate::model::ModelId;
use crate::pricing::{Delivered, Price, PriceTable};
use crate::refusal::Refusal;
use crate::store::Observer as _;
use crate::team::{Limit, LimitKind, Limits, ModelRules, UserId};
use crate::telemetry::Outcome;

fn team(name: &str, models: &[&str], limits: &[Limit]) -> Team {
    let priced = ["flux/dev", "kling/kling-2-1-master"];
    let prices = priced.map(|model| (ModelId::parse(model).expect(model), Price::free()));
    Team {
        id: TeamId::parse(name).expect(name),
        state: crate::team::State::Active,
        suspended_users: HashSet::new(),
        models: ModelRules::parse(models.iter().copied()).expect("rules"),
        limits: Arc::new(Limits::new(limits.iter().copied())),
        user_limits: Arc::default(),
        weight: 1,
        time_zone: TimeZone::UTC,
        prices: Arc::new(PriceTable {
            version: "1".to_owned(),
            models: prices.into_iter().collect(),
            unknown_model: None,
        }),
    }
}

fn metrics() -> Metrics {
    Metrics::new(Clock::moved("2026-11-22T14:26:00Z".parse().expect("a time")))
        .expect("a good table")
}

/// The lines of a scrape that begin so.
fn lines(metrics: &Metrics, start: &str) -> Vec<String> {
    let text = String::from_utf8(metrics.render(Format::Text)).expect("text");
    text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
}

fn status(kind: LimitKind, max: u64, used: u64, reserved: u64) -> LimitStatus {
    let reset_at = Some("2026-12-01T00:00:00Z".parse().expect("a time"));
    LimitStatus {
        scope: Scope::Team,
        kind,
        max,
        topped_up: 0,
        used,
        reserved,
        reset_at,
        shadow: false,
        shadow_refused: false,
    }
}

#[test]
fn a_team_and_models_series_begins_with_the_first_call() {
    let metrics = metrics();
    metrics.register_teams([&team("design", &["flux/*"], &[])]);
    assert_eq!(
        lines(&metrics, "moongate_team_in_flight"),
        ["moongate_team_in_flight{team=\"design\"} 0"]
    );
    assert_eq!(lines(&metrics, "moongate_team_requests_total"), [""; 0]);
    assert_eq!(lines(&metrics, "moongate_team_credits_total"), [""; 0]);

    let design = metrics.team(&TeamId::parse("design").expect("a team"));
    design.ended(metrics.catalogue(), "flux/dev", Outcome::UpstreamError);
    assert_eq!(
        lines(&metrics, "moongate_team_requests_total"),
        ["moongate_team_requests_total\
             {team=\"design\",model=\"flux/dev\",outcome=\"upstream_error\"} 1"]
    );
}

#[test]
fn a_thousand_teams_with_thirty_models_have_all_their_series() {
    let metrics = metrics();
    let priced = |n| (ModelId::parse(&format!("flux/model-{n}")).expect("a model"), Price::free());
    let models = (0..30).map(priced).collect();
    let prices = Arc::new(PriceTable { version: "1".to_owned(), models, unknown_model: None });
    let limits = [LimitKind::RequestsPerMinute, LimitKind::CreditsPerMonth, LimitKind::Concurrent];
    let limits = limits.map(|kind| Limit::new(kind, 1_000_000));
    let make =
        |n| Team { prices: Arc::clone(&prices), ..team(&format!("team-{n}"), &["*"], &limits) };
    let teams: Vec<Team> = (0..1_000).map(make).collect();
    metrics.register_teams(&teams);
    assert_eq!(
        lines(&metrics, "moongate_metric_series_dropped_total"),
        ["moongate_metric_series_dropped_total 0"]
    );
    let samples = lines(&metrics, "moongate_").len();
    assert!(samples < 60_000, "{samples} samples of an idle gateway");
}

#[test]
fn what_was_settled_is_shown_exactly() {
    let metrics = metrics();
    metrics.register_teams([&team("design", &["*"], &[])]);
    let id = TeamId::parse("design").expect("a team");
    let delivered = Delivered { images: 3, video_ms: 5_040 };
    let ended = |outcome| SettlementResult::Ended(outcome);
    for _ in 0..3 {
        metrics.settled(
            &id,
            "flux/dev",
            ended(Settled::Charged),
            Credits::from_micros(100_000),
            delivered,
        );
    }
    metrics.settled(
        &id,
        "flux/dev",
        SettlementResult::Repeated,
        Credits::from_micros(9),
        delivered,
    );
    metrics.settled(&id, "flux/dev", ended(Settled::Released), Credits::ZERO, Delivered::default());
    let of = |name: &str| {
        lines(&metrics, &format!("moongate_{name}{{team=\"design\",model=\"flux/dev\"}}"))
    };
    assert!(of("team_credits_total")[0].ends_with(" 0.3"), "{:?}", of("team_credits_total"));
    assert!(of("team_images_total")[0].ends_with(" 9"));
    assert!(of("team_video_seconds_total")[0].ends_with(" 15.12"));
    let settled = lines(&metrics, "moongate_settlements_total{");
    assert_eq!(
        settled.iter().map(|line| line.rsplit(' ').next().expect("a value")).collect::<String>(),
        "3110"
    );
}

#[test]
fn a_limits_use_is_shown_once_the_ledger_reports_it() {
    let metrics = metrics();
    let budget = Limit::new(LimitKind::CreditsPerMonth, 400_000_000);
    metrics.register_teams([&team("design", &["*"], &[budget])]);
    let name = "moongate_limit{team=\"design\",limit=\"team:credits_per_month\"}";
    assert_eq!(lines(&metrics, "moongate_limit{"), [format!("{name} 400")]);
    assert!(lines(&metrics, "moongate_limit_used{").is_empty());

    let id = TeamId::parse("design").expect("a team");
    let user = Scope::User(UserId::parse("alice").expect("a user"));
    let of_the_user = LimitStatus { scope: user, ..status(LimitKind::CreditsPerMonth, 1, 1, 1) };
    metrics.limit_statuses(
        &id,
        &[status(LimitKind::CreditsPerMonth, 400_000_000, 1_500_000, 25_000), of_the_user],
    );
    assert!(lines(&metrics, "moongate_limit_used{")[0].ends_with(" 1.525"));
    assert!(lines(&metrics, "moongate_limit_reset_timestamp_seconds{")[0].ends_with(" 1796083200"));
    assert_eq!(lines(&metrics, "moongate_limit_used{").len(), 1);
}

#[test]
fn no_series_disappears_on_reload_and_no_count_starts_anew() {
    let metrics = metrics();
    let minute = Limit::new(LimitKind::RequestsPerMinute, 6);
    metrics.register_teams([&team("design", &["flux/*"], &[minute]), &team("growth", &["*"], &[])]);
    let (design, growth) =
        (TeamId::parse("design").expect("a team"), TeamId::parse("growth").expect("a team"));
    let held = metrics.team(&design);
    held.ended(metrics.catalogue(), "flux/dev", Outcome::Ok);
    metrics.limit_statuses(&design, &[status(LimitKind::RequestsPerMinute, 6, 2, 0)]);
    metrics.refused(Some(&growth), &Refusal::RouteNotFound.kind(), None);
    let names = |text: Vec<String>| -> Vec<String> {
        text.iter()
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, _)| name.to_owned())
            .collect()
    };
    let before = names(lines(&metrics, "moongate_"));

    metrics.register_teams([&team("design", &["kling/*"], &[])]);
    held.ended(metrics.catalogue(), "flux/dev", Outcome::Ok);
    let after = names(lines(&metrics, "moongate_"));
    assert!(before.iter().all(|name| after.contains(name)));
    let ok = "moongate_team_requests_total{team=\"design\",model=\"flux/dev\",outcome=\"ok\"}";
    assert_eq!(lines(&metrics, ok), [format!("{ok} 2")]);
    assert!(
        lines(&metrics, "moongate_limit{")[0].ends_with(" inf"),
        "a limit that is gone limits nothing"
    );
}

#[test]
fn only_the_configuration_makes_a_team_label() {
    let metrics = metrics();
    metrics.register_teams([&team("design", &["*"], &[])]);
    let stranger = TeamId::parse("stranger").expect("a team");
    metrics.refused(
        Some(&stranger),
        &Refusal::ModelNotAllowed(ModelId::parse("x").expect("a model")).kind(),
        Some("user:requests_per_day"),
    );
    metrics.refused(None, &Refusal::CredentialMissing.kind(), None);
    metrics.settled(
        &stranger,
        "other",
        SettlementResult::Ended(Settled::Charged),
        Credits::from_micros(1),
        Delivered::default(),
    );
    assert!(!String::from_utf8(metrics.render(Format::Text)).expect("text").contains("stranger"));
    let refused = lines(&metrics, "moongate_refusals_total{");
    assert!(
        refused.iter().all(|line| line.contains("team=\"\"")) && refused.len() == 2,
        "{refused:?}"
    );
}

#[test]
fn a_key_sets_age_grows_until_it_is_read_again() {
    let clock = Clock::moved("2026-11-22T14:26:00Z".parse().expect("a time"));
    let metrics = Metrics::new(clock.clone()).expect("a good table");
    metrics.refreshed("https://sso.example.com", "ok");
    clock.set("2026-11-22T14:27:30Z".parse().expect("a time"));
    metrics.refreshed("https://sso.example.com", "failed");
    assert_eq!(
        lines(&metrics, "moongate_jwks_age_seconds"),
        ["moongate_jwks_age_seconds{issuer=\"https://sso.example.com\"} 90"]
    );
    assert_eq!(lines(&metrics, "moongate_jwks_refreshes_total").len(), 2);
}

#[test]
fn the_store_s_word_is_counted_by_operation_and_result() {
    let metrics = metrics();
    metrics.register_teams([&team("design", &["*"], &[])]);
    metrics.operation("admit", "ok", Duration::from_micros(300));
    metrics.batch(7);
    metrics.up(true);
    let team = TeamId::parse("design").expect("a team");
    let charge = |model: &str, micros| SweptCharge {
        model: model.to_owned(),
        credits: Credits::from_micros(micros),
    };
    let charges = [charge("flux/dev", 25_000), charge("made/up", 5_000)];
    crate::ledger::Observer::swept(
        &metrics,
        &team,
        Swept { released: 1, refused: 0, unknown: 2 },
        &charges,
    );
    assert_eq!(
        lines(&metrics, "moongate_ledger_operations_total"),
        ["moongate_ledger_operations_total{op=\"admit\",result=\"ok\"} 1"]
    );
    assert_eq!(lines(&metrics, "moongate_ledger_up"), ["moongate_ledger_up 1"]);
    assert_eq!(lines(&metrics, "moongate_ledger_batch_size_bucket{le=\"8\"}").len(), 1);
    assert_eq!(
        lines(&metrics, "moongate_team_credits_total"),
        [
            "moongate_team_credits_total{team=\"design\",model=\"flux/dev\"} 0.025",
            "moongate_team_credits_total{team=\"design\",model=\"other\"} 0.005",
        ]
    );
    assert_eq!(
        lines(&metrics, "moongate_reservations_swept_total"),
        ["moongate_reservations_swept_total{team=\"design\"} 3"]
    );
}
