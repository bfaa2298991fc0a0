//! Shrinks a failing history: runs it again with fewer processes, callers and faults as long as it
//! fails.

use super::bounds::{Bounds, Broken};
use super::history;
use super::planted::Planted;

impl Bounds {
    /// Smaller bounds, the smallest first.
    fn smaller(&self) -> Vec<Self> {
        let (first, second) = self.callers.split_at(self.callers.len() / 2);
        let mut fewer = vec![first.to_vec(), second.to_vec()];
        let but = |one: &usize| self.callers.iter().copied().filter(|other| other != one).collect();
        fewer.extend(self.callers.iter().map(but));
        let mut smaller: Vec<Self> =
            fewer.into_iter().map(|callers| Self { callers, ..self.clone() }).collect();
        smaller.push(Self { processes: self.processes - 1, ..self.clone() });
        smaller.push(Self { teams: 1, ..self.clone() });
        for fault in &self.faults {
            let faults = self.faults.iter().copied().filter(|other| other != fault).collect();
            smaller.push(Self { faults, ..self.clone() });
        }
        smaller
            .retain(|bounds| !bounds.callers.is_empty() && bounds.processes > 0 && bounds != self);
        smaller
    }
}

/// The smallest failing history of this seed, with its events.
pub(super) fn shrink(seed: u64, planted: Planted, mut bounds: Bounds) -> Option<Box<Broken>> {
    while let Some(smaller) =
        bounds.smaller().into_iter().find(|one| history::run(seed, planted, one).is_err())
    {
        bounds = smaller;
    }
    history::run_logged(seed, planted, &bounds).err()
}
