//! The only thread that writes: it applies all waiting requests in one durable transaction and
//! answers them afterwards.

use std::thread::JoinHandle;

use std::sync::Arc;

use redb::Database;
use tokio::sync::{mpsc, oneshot};

use super::fault::Fault;
use super::store::Tables;
use crate::clock::Clock;
use crate::ledger::machine::{Ended, Machine, Rules, judgement};
use crate::ledger::{Crossing, Observer, Outage, soft};
use crate::permits::embedded::{self, Queue};
use crate::permits::{AccountLimits, BatchResult, Operation};
use crate::team::TeamId;

/// Most requests in one transaction, which bounds a caller's wait beyond the disk's.
const BATCH_MAX: usize = 512;
/// Most waiting requests; further callers wait to send theirs.
const WAITING_MAX: usize = 4096;

/// State for a request, within the transaction of its batch.
pub(super) struct State<'a> {
    /// The ledger.
    pub(super) machine: Machine<'a, Tables<'a>>,
    /// The queue for the shared account.
    queue: &'a mut Queue,
}

impl State<'_> {
    /// Carries out operations on the permits of the shared account, in this transaction.
    pub(super) fn permits(
        &mut self,
        limits: &AccountLimits,
        operations: &[Operation],
    ) -> Result<BatchResult, Fault> {
        let mut account = self.machine.records().account()?;
        let now = self.machine.now();
        let result = embedded::apply(&mut account, self.queue, limits, operations, now);
        self.machine.records_to_write().put_account(&account)?;
        Ok(result)
    }
}

/// A request: applied in a batch, answered when the batch is durable.
trait Request: Send {
    fn apply(&mut self, state: &mut State<'_>) -> Result<(), Fault>;
    fn answer(self: Box<Self>, outage: Option<Outage>);
}

struct Pending<W, A> {
    work: Option<W>,
    answer: Option<A>,
    response: oneshot::Sender<Result<A, Outage>>,
}

impl<W, A> Request for Pending<W, A>
where
    W: FnOnce(&mut State<'_>) -> Result<A, Fault> + Send,
    A: Send,
{
    fn apply(&mut self, state: &mut State<'_>) -> Result<(), Fault> {
        if let Some(work) = self.work.take() {
            self.answer = Some(work(state)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, outage: Option<Outage>) {
        let answer = match (outage, self.answer) {
            (None, Some(answer)) => Ok(answer),
            (Some(outage), _) => Err(outage),
            (None, None) => Err(stopped()),
        };
        // The caller may have left.
        let _ = self.response.send(answer);
    }
}

/// The writing thread and its queue. Dropping it waits until the last batch is on disk and the file
/// is closed.
pub(super) struct Writer {
    inbox: Option<mpsc::Sender<Box<dyn Request>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; fails when the system cannot.
    pub(super) fn start(
        database: Database,
        rules: Rules,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> std::io::Result<Self> {
        let (inbox, requests) = mpsc::channel(WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || write(&database, &rules, &clock, &*observer, requests))?;
        Ok(Self { inbox: Some(inbox), thread: Some(thread) })
    }

    /// Runs work in the next batch and returns its result once that is durable.
    pub(super) async fn ask<A, W>(&self, work: W) -> Result<A, Outage>
    where
        A: Send + 'static,
        W: FnOnce(&mut State<'_>) -> Result<A, Fault> + Send + 'static,
    {
        let (response, answer) = oneshot::channel();
        let inbox = self.inbox.as_ref().ok_or_else(stopped)?;
        inbox
            .send(Box::new(Pending { work: Some(work), answer: None, response }))
            .await
            .map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Runs work in a later batch without an answer, or not at all when too much is waiting.
    pub(super) fn enqueue<W>(&self, work: W)
    where
        W: FnOnce(&mut State<'_>) -> Result<(), Fault> + Send + 'static,
    {
        let (response, _) = oneshot::channel();
        if let Some(inbox) = &self.inbox {
            let _ = inbox.try_send(Box::new(Pending { work: Some(work), answer: None, response }));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.inbox.take());
        if let Some(thread) = self.thread.take() {
            // After a panic its callers get no answer, which they take for an error.
            let _ = thread.join();
        }
    }
}

fn stopped() -> Outage {
    Outage::Unreachable("the writer of the ledger file has stopped".into())
}

fn write(
    database: &Database,
    rules: &Rules,
    clock: &Clock,
    observer: &dyn Observer,
    mut requests: mpsc::Receiver<Box<dyn Request>>,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut queue = Queue::default();
    while requests.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let applied = apply(database, rules, clock, &mut queue, &mut batch);
        observer.batch(batch.len());
        observer.up(applied.is_ok());
        let outage = match applied {
            Ok(report) => {
                for Ended { team, swept, charges } in report.swept {
                    observer.swept(&team, swept, &charges);
                }
                report.abandoned.iter().for_each(|team| observer.abandoned(team));
                report
                    .crossed
                    .into_iter()
                    .for_each(|(team, crossing)| soft::report(observer, &team, &[crossing]));
                None
            }
            Err(fault) => {
                // The queue may have permits that are not in the file.
                queue = Queue::default();
                Some(Outage::Refused(fault.0))
            }
        };
        for request in batch.drain(..) {
            request.answer(outage.clone());
        }
    }
}

/// What to report once a batch is durable, besides the answers.
struct Report {
    swept: Vec<Ended>,
    crossed: Vec<(TeamId, Crossing)>,
    abandoned: Vec<TeamId>,
}

/// Applies all requests of a batch at one time of the clock, or none. A fault in one fails the
/// whole batch: it means a disk or file that cannot be trusted, which no caller can cause.
fn apply(
    database: &Database,
    rules: &Rules,
    clock: &Clock,
    queue: &mut Queue,
    batch: &mut [Box<dyn Request>],
) -> Result<Report, Fault> {
    let transaction = database.begin_write()?;
    let (changed, report) = {
        // Records have microseconds, so what is answered now equals what is read later.
        let now = judgement::at(clock.now().as_microsecond());
        let machine = Machine::new(Tables::open(&transaction)?, rules, now);
        let mut state = State { machine, queue };
        for request in batch {
            request.apply(&mut state)?;
        }
        let (swept, abandoned) = (state.machine.take_swept(), state.machine.take_abandoned());
        let report = Report { swept, crossed: std::mem::take(state.machine.crossed()), abandoned };
        (state.machine.changed(), report)
    };
    if changed {
        transaction.commit()?
    } else {
        transaction.abort()?
    }
    Ok(report)
}
