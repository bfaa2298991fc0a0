//! The one thread that writes: as many words as are waiting become one durable transaction, and only then are answered.

use std::thread::JoinHandle;

use std::sync::Arc;

use redb::Database;
use tokio::sync::{mpsc, oneshot};

use super::fault::Fault;
use super::line::Line;
use super::store::Tables;
use crate::clock::Clock;
use crate::ledger::machine::{Ended, Machine, Rules, judgement};
use crate::ledger::{Crossing, Observer, Outage, soft};
use crate::team::TeamId;

/// The most words in one transaction: bounds what a caller waits for beside the disk.
const BATCH_MOST: usize = 512;
/// The most words that may wait; callers beyond it wait for their place.
const WAITING_MOST: usize = 4096;

/// The state as a word finds it: within the transaction of its batch.
pub(super) struct State<'a> {
    /// The ledger.
    pub(super) machine: Machine<'a, Tables<'a>>,
    /// The line before the shared account.
    pub(super) line: &'a mut Line,
}

/// One word on its way: applied within a batch, answered when the batch is durable.
trait Word: Send {
    fn apply(&mut self, state: &mut State<'_>) -> Result<(), Fault>;
    fn answer(self: Box<Self>, outage: Option<Outage>);
}

struct Asking<W, A> {
    work: Option<W>,
    answer: Option<A>,
    asker: oneshot::Sender<Result<A, Outage>>,
}

impl<W, A> Word for Asking<W, A>
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
        // An asker that has gone does not want to know.
        let _ = self.asker.send(answer);
    }
}

/// The writing thread, and the way to it. Dropped, it waits until the last batch is on disk and the file is closed.
pub(super) struct Writer {
    inbox: Option<mpsc::Sender<Box<dyn Word>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; fails when the system gives none.
    pub(super) fn start(
        database: Database,
        rules: Rules,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> std::io::Result<Self> {
        let (inbox, words) = mpsc::channel(WAITING_MOST);
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || write(&database, &rules, &clock, &*observer, words))?;
        Ok(Self { inbox: Some(inbox), thread: Some(thread) })
    }

    /// Does some work in the next batch and hands back its answer once that is durable.
    pub(super) async fn ask<A, W>(&self, work: W) -> Result<A, Outage>
    where
        A: Send + 'static,
        W: FnOnce(&mut State<'_>) -> Result<A, Fault> + Send + 'static,
    {
        let (asker, answer) = oneshot::channel();
        let inbox = self.inbox.as_ref().ok_or_else(stopped)?;
        inbox.send(Box::new(Asking { work: Some(work), answer: None, asker })).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Does some work in a later batch, without an answer; not at all when too much is waiting.
    pub(super) fn tell<W>(&self, work: W)
    where
        W: FnOnce(&mut State<'_>) -> Result<(), Fault> + Send + 'static,
    {
        let (asker, _) = oneshot::channel();
        if let Some(inbox) = &self.inbox {
            let _ = inbox.try_send(Box::new(Asking { work: Some(work), answer: None, asker }));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.inbox.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has told its askers by not answering.
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
    mut words: mpsc::Receiver<Box<dyn Word>>,
) {
    let mut batch = Vec::with_capacity(BATCH_MOST);
    let mut line = Line::default();
    while words.blocking_recv_many(&mut batch, BATCH_MOST) > 0 {
        let applied = apply(database, rules, clock, &mut line, &mut batch);
        observer.batch(batch.len());
        observer.up(applied.is_ok());
        let outage = match applied {
            Ok(told) => {
                for Ended { team, swept, charges } in told.swept {
                    observer.swept(&team, swept, &charges);
                }
                told.abandoned.iter().for_each(|team| observer.abandoned(team));
                told.crossed.into_iter().for_each(|(team, crossing)| soft::tell(observer, &team, &[crossing]));
                None
            }
            Err(fault) => {
                // It may tell of permits that the file knows nothing of.
                line = Line::default();
                Some(Outage::Refused(fault.0))
            }
        };
        for word in batch.drain(..) {
            word.answer(outage.clone());
        }
    }
}

/// What is told of a batch once it is durable, beside the answers.
struct Told {
    swept: Vec<Ended>,
    crossed: Vec<(TeamId, Crossing)>,
    abandoned: Vec<TeamId>,
}

/// All words of a batch at one time of the clock, or none of them. A word that faults takes the batch with it: that is
/// a disk or a file that cannot be trusted, not something a caller can do.
fn apply(
    database: &Database,
    rules: &Rules,
    clock: &Clock,
    line: &mut Line,
    batch: &mut [Box<dyn Word>],
) -> Result<Told, Fault> {
    let transaction = database.begin_write()?;
    let (changed, told) = {
        // The records keep microseconds: what is answered now is what is read back later.
        let now = judgement::at(clock.now().as_microsecond());
        let machine = Machine::new(Tables::open(&transaction)?, rules, now);
        let mut state = State { machine, line };
        for word in batch {
            word.apply(&mut state)?;
        }
        let (swept, abandoned) = (state.machine.take_swept(), state.machine.take_abandoned());
        let told = Told { swept, crossed: std::mem::take(state.machine.crossed()), abandoned };
        (state.machine.changed(), told)
    };
    if changed {
        transaction.commit()?
    } else {
        transaction.abort()?
    }
    Ok(told)
}
