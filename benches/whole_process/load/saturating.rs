//! Closed loop: every connection calls again as soon as it was answered. Shows what a call costs
//! when there is no idle moment; with one connection, what a lone call costs, which shares no step
//! of its way with another.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Connection, Target};
use crate::spread::quantile;

/// What came of a saturated window.
pub struct Saturation<M> {
    /// Calls that were answered with 200 within the window.
    pub calls: u64,
    /// Half of them took less, in microseconds.
    pub p50: f64,
    /// How long the window was.
    pub length: Duration,
    /// What was read at its beginning and at its end.
    pub marks: (M, M),
    /// Calls that were not answered with 200, warm-up included.
    pub failed: u64,
    /// What the first of them got.
    pub first_failure: Option<String>,
}

#[derive(Default)]
struct Tally {
    calls: Cell<u64>,
    times: RefCell<Vec<f64>>,
    failed: Cell<u64>,
    first_failure: RefCell<Option<String>>,
    over: Cell<bool>,
}

impl Tally {
    fn fail(&self, what: String) {
        self.failed.set(self.failed.get() + 1);
        self.first_failure.borrow_mut().get_or_insert(what);
    }
}

/// Saturates a target; `mark` is called at both ends of the window.
///
/// # Errors
/// It cannot be connected to, or a mark cannot be read.
pub async fn saturate<M>(
    target: &Target,
    connections: usize,
    warm_up: Duration,
    window: Duration,
    mark: impl Fn() -> io::Result<M>,
) -> io::Result<Saturation<M>> {
    let tally = Rc::new(Tally::default());
    let mut callers = JoinSet::new();
    for index in 0..connections {
        let connection = Connection::open(target.address).await?;
        callers.spawn_local(call_on(
            connection,
            target.clone(),
            (index, connections),
            Rc::clone(&tally),
        ));
    }
    tokio::time::sleep(warm_up).await;
    let (before, begun, calls_before) = (mark()?, Instant::now(), tally.calls.get());
    tally.times.take();
    tokio::time::sleep(window).await;
    let (after, length, calls_after) = (mark()?, begun.elapsed(), tally.calls.get());
    let mut times = tally.times.take();
    times.sort_by(f64::total_cmp);
    tally.over.set(true);
    while callers.join_next().await.is_some() {}
    Ok(Saturation {
        calls: calls_after - calls_before,
        p50: quantile(&times, 0.5),
        length,
        marks: (before, after),
        failed: tally.failed.get(),
        first_failure: tally.first_failure.take(),
    })
}

async fn call_on(
    mut connection: Connection,
    target: Target,
    (index, connections): (usize, usize),
    tally: Rc<Tally>,
) {
    let mut turn = 0;
    while !tally.over.get() {
        let call = target.call(index, connections, turn);
        turn += 1;
        let begun = Instant::now();
        match connection.call(call).await {
            Ok(None) => {
                tally.calls.set(tally.calls.get() + 1);
                tally.times.borrow_mut().push(begun.elapsed().as_secs_f64() * 1e6);
            }
            Ok(Some(what)) => tally.fail(what),
            Err(error) => {
                tally.fail(error.to_string());
                match Connection::open(target.address).await {
                    Ok(again) => connection = again,
                    Err(error) => return tally.fail(format!("cannot connect again: {error}")),
                }
            }
        }
    }
}
