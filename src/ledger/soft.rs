//! Soft thresholds: a budget that is nearly used up is told of, once in each window, by whichever replica makes it so.

use super::Crossing;
use super::observe::Observer;
use crate::team::TeamId;
use crate::team::limit::Period;

/// What a budget is marked with once it was told of: the window's name, and of prepaid credits the sum of all top-ups,
/// so that a budget that was topped up is told of again.
pub(super) fn mark(period: Period, day: &str, month: &str, topped_up: u64) -> String {
    match period {
        Period::Day => day.to_owned(),
        Period::Month => month.to_owned(),
        Period::Total => topped_up.to_string(),
    }
}

/// Tells of crossings that are durable: a line in the log each, and whoever watches the store.
pub(super) fn tell(observer: &dyn Observer, team: &TeamId, crossings: &[Crossing]) {
    for crossing in crossings {
        let Crossing { soft, max, used, reserved, .. } = crossing;
        let (limit, whose) = (crossing.limit(), crossing.whose());
        tracing::warn!(%team, limit, whose, %soft, %max, %used, %reserved, "a budget is nearly used up");
        observer.crossed(team, crossing);
    }
}
