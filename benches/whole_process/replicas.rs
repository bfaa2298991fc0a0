//! Several gateways on one store, all called by one team: what they carry together, and whether one
//! of them starves.

use std::fmt;
use std::rc::Rc;

use futures_util::future::try_join_all;

use crate::load::{Saturation, Target, saturate};
use crate::options::{Options, Plan};
use crate::outcome::Outcome;
use crate::peers::Proxy;

/// How many calls of the team are under way at once in the second line.
const MANY: usize = 2_000;

/// What one gateway carried alone, and several together.
pub struct Together {
    at_once: usize,
    /// Calls a second of one of them, when the others rest.
    alone: f64,
    /// Calls a second of each, all at once.
    each: Vec<f64>,
    /// Calls of all that were not answered with 200.
    refused: u64,
    first_refusal: Option<String>,
}

/// Measures them with the usual number of connections, and with many.
///
/// # Errors
/// One of them cannot be connected to.
pub async fn measure(
    options: &Options,
    plan: &Plan,
    replicas: &[(Rc<Proxy>, Target)],
) -> Outcome<Vec<Together>> {
    let Some((_, first)) = replicas.first() else { return Ok(Vec::new()) };
    let mut lines = Vec::new();
    for at_once in [options.connections, MANY] {
        let window = |target, connections| {
            saturate(target, connections, plan.warm_up, plan.window, || Ok(()))
        };
        let alone = window(first, at_once).await?;
        let share = at_once / replicas.len();
        let together =
            try_join_all(replicas.iter().map(|(_, target)| window(target, share))).await?;
        lines.push(Together {
            at_once,
            alone: a_second(&alone),
            each: together.iter().map(a_second).collect(),
            refused: alone.failed + together.iter().map(|one| one.failed).sum::<u64>(),
            first_refusal: [&alone]
                .into_iter()
                .chain(&together)
                .find_map(|one| one.first_failure.clone()),
        });
    }
    Ok(lines)
}

fn a_second(window: &Saturation<()>) -> f64 {
    window.calls as f64 / window.length.as_secs_f64()
}

impl Together {
    /// What went wrong.
    pub fn failure(&self) -> Option<String> {
        let first = self.first_refusal.as_ref()?;
        Some(format!(
            "gateway-replicas: {} of {} at once got no good answer; the first: {first}",
            self.refused, self.at_once
        ))
    }
}

impl fmt::Display for Together {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: f64 = self.each.iter().sum();
        let mean = all / self.each.len().max(1) as f64;
        let slowest = self.each.iter().copied().fold(f64::INFINITY, f64::min);
        write!(
            text,
            "{} replicas on one team, {} calls at once: {all:.0} calls/s (one of them alone \
             {:.0}), {} refused, the slowest {:.2} of the mean",
            self.each.len(),
            self.at_once,
            self.alone,
            self.refused,
            slowest / mean.max(f64::MIN_POSITIVE),
        )
    }
}
