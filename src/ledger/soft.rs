//! Soft thresholds: reports a budget that is nearly used up, once per window, from the replica
//! whose call reached the threshold.

use super::Crossing;
use super::observe::Observer;
use crate::team::TeamId;
use crate::team::limit::Period;

/// Mark in a budget that was reported: the window's name, or for prepaid credits the sum of all
/// top-ups, so that it is reported again after a top-up.
pub(super) fn mark(period: Period, day: &str, month: &str, topped_up: u64) -> String {
    match period {
        Period::Day => day.to_owned(),
        Period::Month => month.to_owned(),
        Period::Total => topped_up.to_string(),
    }
}

/// Reports crossings once they are durable: to the log and the observer.
pub(super) fn report(observer: &dyn Observer, team: &TeamId, crossings: &[Crossing]) {
    for crossing in crossings {
        let Crossing { soft, max, used, reserved, .. } = crossing;
        let (limit, whose) = (crossing.limit(), crossing.whose());
        tracing::warn!(
            %team,
            limit,
            whose,
            %soft,
            %max,
            %used,
            %reserved,
            "a budget is nearly used up"
        );
        observer.crossed(team, crossing);
    }
}
