//! How often what is counted is done: a figure is a median.

use crate::callgrind::Counted;
use crate::outcome::Outcome;

/// How many calls are counted, after how many that are not. The median of so many rounds is the
/// figure.
pub const WARM_UP: usize = 32;
pub const CALLS: usize = 128;
const ROUNDS: usize = 3;

/// The median of what rounds of calls cost, for each call, after some that do not count.
pub fn rounds(program: &Counted, mut calls: impl FnMut(usize) -> Outcome<()>) -> Outcome<u64> {
    calls(WARM_UP)?;
    let mut counts = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let mark = program.mark()?;
        calls(CALLS)?;
        counts.push(program.for_each(CALLS, &mark)?);
    }
    counts.sort_unstable();
    counts.get(ROUNDS / 2).copied().ok_or_else(|| "no round".into())
}
