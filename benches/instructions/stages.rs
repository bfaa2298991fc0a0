//! The ledger's words to its store, each by itself, and whole calls in crowds: redis-server is
//! counted.

use std::path::Path;

use tokio::runtime::Runtime;

use crate::budgets::{Figure, figure};
use crate::callgrind::Counted;
use crate::calls::{self, Way, admission};
use crate::outcome::Outcome;
use crate::rounds::{CALLS, WARM_UP, rounds};
use crate::store::Store;

const STORE: &str = "redis-server";

/// Whole calls, so many at once.
const CROWDS: [(usize, &str); 2] =
    [(16, "a whole call, one of 16 at once"), (128, "a whole call, one of 128 at once")];

/// Counts all of them.
///
/// # Errors
/// The store does not start, or a call is not carried out.
pub fn count(profiles: &Path) -> Outcome<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut figures = one_by_one(&runtime, &Store::counted(&profiles.join("callgrind.stages"))?)?;
    for (at_once, what) in CROWDS {
        let store = Store::counted(&profiles.join(format!("callgrind.{at_once}-at-once")))?;
        let (ledger, like) = (store.ledger()?, admission(Way::AsSent)?);
        let make = |count| runtime.block_on(calls::calls(&ledger, &like, count, at_once));
        make(CALLS)?;
        let counted = Counted::new(store.id())?;
        let count = rounds(&counted, make)?;
        figures.push(figure(STORE, what, count));
    }
    Ok(figures)
}

/// A lone call's words: first all calls are admitted, then all of them marked, then settled.
fn one_by_one(runtime: &Runtime, store: &Store) -> Outcome<Vec<Figure>> {
    let ledger = store.ledger()?;
    runtime.block_on(calls::calls(&ledger, &admission(Way::AsSent)?, WARM_UP, 1))?;
    let counted = Counted::new(store.id())?;
    let count = |each: &mut dyn FnMut() -> Outcome<()>| {
        rounds(&counted, |calls| (0..calls).try_for_each(|_| each()))
    };
    let mut figures = Vec::new();
    for (way, what) in [(Way::AsSent, "admitted as sent"), (Way::ThenMarked, "admitted, to wait")] {
        let (like, mut open) = (admission(way)?, Vec::new());
        let admitted = count(&mut || {
            open.push(runtime.block_on(calls::admit(&ledger, &like))?);
            Ok(())
        })?;
        figures.push(figure(STORE, what, admitted));
        let mut ids = open.iter().cycle();
        let mut next = || ids.next().copied().ok_or("no call is open");
        if way == Way::ThenMarked {
            let marked = count(&mut || runtime.block_on(calls::mark(&ledger, &like, next()?)))?;
            figures.push(figure(STORE, "marked as sent", marked));
        }
        let settled = count(&mut || runtime.block_on(calls::settle(&ledger, &like, next()?)))?;
        if way == Way::AsSent {
            figures.push(figure(STORE, "settled", settled));
        }
    }
    Ok(figures)
}
