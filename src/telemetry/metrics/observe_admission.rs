//! Metrics of admission: charges, limits, reservations.

use super::teams::limit_label;
use super::{Metrics, REPEATED};
use crate::admission::Observer;
use crate::admission::observe::Result as SettlementResult;
use crate::credits::Credits;
use crate::ledger::{LimitStatus, Outcome, Scope};
use crate::pricing::Delivered;
use crate::team::TeamId;

/// The result label of a settlement with this outcome: a refused call released its credits.
pub(super) const fn settlement(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Charged | Outcome::Released | Outcome::Unknown => outcome.name(),
        Outcome::Refused => Outcome::Released.name(),
    }
}

impl Observer for Metrics {
    fn settled(
        &self,
        team: &TeamId,
        model_label: &str,
        result: SettlementResult,
        charged: Credits,
        delivered: Delivered,
    ) {
        let outcome = match result {
            SettlementResult::Ended(outcome) => settlement(outcome),
            SettlementResult::Repeated => {
                self.catalogue.settlements_total.with([REPEATED]).inc();
                return;
            }
        };
        self.catalogue.settlements_total.with([outcome]).inc();
        self.team(team).settled(&self.catalogue, model_label, |series| {
            series.credits.add(charged.micros());
            series.images.add(delivered.images);
            series.video.add(delivered.video_ms);
        });
    }

    fn limit_statuses(&self, team: &TeamId, statuses: &[LimitStatus]) {
        let series = self.team(team);
        let of_the_team = statuses.iter().filter(|status| status.scope == Scope::Team);
        of_the_team.for_each(|status| series.set_limit(&self.catalogue, status));
    }

    fn shadow_refused(&self, team: &TeamId, status: &LimitStatus) {
        let known = if self.teams.load().contains_key(team) { team.as_str() } else { "" };
        let limit = match status.scope {
            Scope::Team => limit_label(status.kind),
            Scope::User(_) | Scope::Key(_) | Scope::Account(_) => {
                format!("{}:{}", status.scope.level(), status.kind)
            }
        };
        self.catalogue.shadow_refusals_total.with([known, &limit]).inc();
    }

    #[allow(clippy::cast_precision_loss)]
    fn reservations_open(&self, team: &TeamId, open: u64) {
        self.team(team).open.set(open as f64);
    }
}
