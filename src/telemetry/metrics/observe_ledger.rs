//! Metrics of the ledger and its store: operations, batches, outages, sweeps, losses, and budgets
//! at their thresholds.

use std::time::Duration;

use super::Metrics;
use super::observe_admission::settlement;
use crate::ledger::{Crossing, Observer, Outcome, Swept, SweptCharge};
use crate::store;
use crate::team::TeamId;

impl store::Observer for Metrics {
    fn operation(&self, op: &'static str, result: &'static str, duration: Duration) {
        self.catalogue.ledger_operations_total.with([op, result]).inc();
        self.catalogue.ledger_operation_seconds.with([op]).observe(duration);
    }

    fn up(&self, up: bool) {
        self.catalogue.ledger_up.set_whether(up);
    }
}

impl Observer for Metrics {
    fn batch(&self, size: usize) {
        self.catalogue.ledger_batch_size.sized(size);
    }

    fn swept(&self, team: &TeamId, swept: Swept, charges: &[SweptCharge]) {
        let Swept { released, refused, unknown } = swept;
        let series = self.team(team);
        for SweptCharge { model, credits } in charges {
            series.settled(&self.catalogue, series.label(model), |series| {
                series.credits.add(credits.micros())
            });
        }
        series.swept.add(released.saturating_add(refused).saturating_add(unknown));
        for (outcome, ended) in [
            (Outcome::Released, released),
            (Outcome::Refused, refused),
            (Outcome::Unknown, unknown),
        ] {
            self.catalogue.settlements_total.with([settlement(outcome)]).add(ended);
        }
    }

    fn abandoned(&self, _team: &TeamId) {
        self.catalogue.settlements_total.with([settlement(Outcome::Released)]).inc();
    }

    fn crossed(&self, team: &TeamId, crossing: &Crossing) {
        let known = if self.teams.load().contains_key(team) { team.as_str() } else { "" };
        self.catalogue.soft_limit_crossings_total.with([known, &crossing.limit()]).inc();
    }

    fn epoch_changed(&self, _team: &TeamId) {
        self.catalogue.ledger_epoch_changes_total.inc();
    }
}
