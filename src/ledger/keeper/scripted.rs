//! A keeper that answers by a test's script, and records the requests.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;

use super::queue::{Team, Teams};
use super::step::{Found, LeftMark, Reply, Step, TeamRecord, Verdict};
use super::{Abandoned, Context, Keeper, KeeperTime, LossRules, TrustState};
use crate::ledger::machine::memory_records::{Ledger, NOW, TTL, team};
use crate::ledger::machine::{Loss, Revision, Rules};
use crate::ledger::{Crossing, Observer, Outage, Swept, SweptCharge};
use crate::store;
use crate::team::TeamId;

/// More steps than any loop may take.
const STEPS_MAX: usize = 2_000;

/// The answer to a step.
pub(super) type Script = dyn Fn(&Step) -> Result<Reply, Outage> + Send + Sync;

/// The keeper, its time and the observer.
pub(super) struct Scripted {
    script: Box<Script>,
    pub(super) rules: Rules,
    pub(super) loss: LossRules,
    pub(super) abandoned: Arc<Abandoned>,
    pub(super) trust: TrustState,
    pub(super) may_be_made: bool,
    pub(super) now: AtomicI64,
    pub(super) replication_id: AtomicU64,
    names: AtomicU64,
    steps: Mutex<Vec<Step>>,
    events: Arc<Mutex<Vec<String>>>,
    observer: Recorder,
}

struct Recorder(Arc<Mutex<Vec<String>>>);

impl Scripted {
    pub(super) fn new(
        script: impl Fn(&Step) -> Result<Reply, Outage> + Send + Sync + 'static,
    ) -> Self {
        let events = Arc::new(Mutex::default());
        Self {
            script: Box::new(script),
            rules: Ledger::new().rules,
            loss: LossRules { gather: Duration::from_secs(1), hold: false },
            abandoned: Arc::default(),
            trust: TrustState::Trusted,
            may_be_made: true,
            now: AtomicI64::new(NOW),
            replication_id: AtomicU64::new(0),
            names: AtomicU64::new(1),
            steps: Mutex::default(),
            observer: Recorder(Arc::clone(&events)),
            events,
        }
    }

    /// Answers reads with `found`, and changes with this verdict.
    pub(super) fn with(found: Found, verdict: Verdict) -> Self {
        Self::new(move |step| {
            Ok(if step.changes.is_nothing() {
                returned(found.clone())
            } else {
                Reply { found: None, ..replied(verdict) }
            })
        })
    }

    pub(super) fn context(&self) -> Context<'_, Self, Self> {
        Context {
            keeper: self,
            time: self,
            rules: &self.rules,
            loss: self.loss,
            observer: &self.observer,
            abandoned: &self.abandoned,
        }
    }

    /// Runs a task to its end: nothing here ever waits.
    pub(super) fn run<T>(&self, task: impl Future<Output = T>) -> T {
        task.now_or_never().expect("nothing to wait for")
    }

    /// The steps it received.
    pub(super) fn steps(&self) -> Vec<Step> {
        std::mem::take(&mut *self.steps.lock().unwrap())
    }

    /// The steps that would change something.
    pub(super) fn writes(&self) -> Vec<Step> {
        self.steps().into_iter().filter(|step| !step.changes.is_nothing()).collect()
    }

    /// Other requests, and reports to the observer.
    pub(super) fn events(&self) -> Vec<String> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }

    fn note(&self, event: impl Into<String>) {
        self.observer.note(event);
    }
}

impl Recorder {
    fn note(&self, event: impl Into<String>) {
        self.0.lock().unwrap().push(event.into());
    }
}

/// A reply of this verdict.
pub(super) fn replied(verdict: Verdict) -> Reply {
    Reply { verdict, ..Reply::of_another_primary(NOW) }
}

/// A reply with these records.
pub(super) fn returned(found: Found) -> Reply {
    Reply { found: Some(found), ..replied(Verdict::NotWritten) }
}

/// Records of a team at a revision, after this loss.
pub(super) fn found(revision: Revision, loss: Option<Loss>) -> Found {
    let team = TeamRecord { loss, ..TeamRecord::default() };
    Found { revision: Some(revision), team, ..Found::default() }
}

/// A team with these cached records.
pub(super) fn knowing(found: Found) -> Arc<Team> {
    let known = new_team();
    known.cache().learn(found, 0, (NOW, NOW + TTL));
    known
}

/// A team that was never seen.
pub(super) fn new_team() -> Arc<Team> {
    Teams::default().of(&team())
}

/// A revision of an epoch.
pub(super) const fn at(epoch: u64, number: u64) -> Revision {
    Revision::new(epoch, number, 0)
}

impl Keeper for Scripted {
    async fn step(&self, _: &TeamId, step: &Step) -> Result<Reply, Outage> {
        let mut steps = self.steps.lock().unwrap();
        steps.push(step.clone());
        assert!(steps.len() < STEPS_MAX, "it goes on for ever");
        drop(steps);
        (self.script)(step)
    }

    fn replication_id(&self, _: &TeamId) -> u64 {
        self.replication_id.load(Ordering::Relaxed)
    }

    fn name_step(&self) -> u64 {
        self.names.fetch_add(1, Ordering::Relaxed)
    }

    async fn let_another_go_first(&self) {
        self.note("another goes first");
    }

    async fn trust(&self, _: &TeamId, accepts: bool) -> Result<TrustState, Outage> {
        self.note(if accepts { "accepted" } else { "trusted" });
        Ok(self.trust)
    }

    async fn is_doubted(&self, _: &TeamId) {
        self.note("doubted");
    }

    async fn leave_mark(&self, _: &TeamId, name: u64) -> Result<LeftMark, Outage> {
        self.note(format!("mark {name}"));
        Ok(LeftMark { name, left_at: 9 })
    }

    async fn may_be_made(&self, _: &TeamId, _: bool) -> Result<bool, Outage> {
        self.note("may it be made");
        Ok(self.may_be_made)
    }

    fn is_settled(&self, _: &TeamId) -> bool {
        true
    }

    async fn made(&self, _: &TeamId) {
        self.note("made");
    }
}

impl KeeperTime for Scripted {
    fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    fn learn(&self, at: i64) {
        self.now.store(at, Ordering::Relaxed);
    }
}

impl store::Observer for Recorder {
    fn operation(&self, _: &'static str, _: &'static str, _: Duration) {}

    fn up(&self, _: bool) {}
}

impl Observer for Recorder {
    fn batch(&self, size: usize) {
        self.note(format!("batch of {size}"));
    }

    fn swept(&self, _: &TeamId, swept: Swept, _: &[SweptCharge]) {
        self.note(format!("{swept:?}"));
    }

    fn abandoned(&self, _: &TeamId) {
        self.note("released");
    }

    fn crossed(&self, _: &TeamId, _: &Crossing) {
        self.note("threshold");
    }

    fn epoch_changed(&self, _: &TeamId) {
        self.note("lost");
    }
}
