//! Whether a server is believed when it says what it has of a team, by a process that has never seen the team.
//!
//! Such a process cannot tell a new team from a lost one, nor the latest copy from an older one; other replicas can. A
//! primary's reign is named by its replication id, which is another after each restart and each promotion; when the reign
//! was first heard of stands in the store. Until a reign has been known for as long as the others may take to look after
//! every team and to bring what is missing, only those who have seen a team are served. A flushed store has forgotten its
//! reigns, and so is new again; and lest it be flushed between the question and what is done then, a team is made only where
//! the mark still is that was left before the question.

use std::sync::atomic::Ordering;

use redis::{Cmd, ErrorKind, RedisError, Value};
use uuid::Uuid;

use super::courier::Courier;
use super::head::Mode;
use super::keys::{REIGNS, TEAMS, vouched_key};
use super::line::Line;
use super::link::Link;
use crate::ledger::{OnLoss, Outage};
use crate::team::TeamId;

/// The script that says since when a reign is known.
const SCRIPT: &str = include_str!("vouch.lua");
/// What a primary is asked, and how the line of the answer begins that names its reign.
const ASKED: (&str, &str) = ("INFO", "replication");
const REIGN: &str = "master_replid:";

/// How long a mark stays; what it is left for takes milliseconds.
const MARK_SECONDS: u64 = 60;

/// A number that no other handle has, small enough to be exact in the script.
pub(super) fn new_voucher() -> u64 {
    u64::try_from(Uuid::now_v7().as_u128() & 0xf_ffff_ffff_ffff).unwrap_or(0)
}

/// How far what a server says of a new team is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belief {
    /// Others may still bring what it lacks.
    TooNew,
    /// Whoever could bring something has.
    Believed,
    /// It is empty, and an operator must say what that means.
    Held,
}

impl Courier {
    /// Whether a batch may be sent to this server: always of a team that this process has seen there, since the batch says
    /// so itself. An operator who accepts what is left of a team vouches for it to every replica.
    pub(super) async fn vouched(
        &self,
        line: &Line,
        number: u64,
        link: &mut Link,
        mode: Mode,
    ) -> Result<Belief, RedisError> {
        let is_known = line.seen().known.epoch > 0;
        if mode != Mode::Accepting && (is_known || self.believed.load(Ordering::Relaxed) == number) {
            return Ok(Belief::Believed);
        }
        let belief = Box::pin(self.look_into(line, link, mode == Mode::Accepting)).await?;
        // Nodes of a cluster come and go behind one connection.
        if belief == Belief::Believed && mode != Mode::Accepting && link.is_to_one_server() {
            self.believed.store(number, Ordering::Relaxed);
        }
        Ok(belief)
    }

    /// Leaves a mark beside the team's own keys, without which the team is not made.
    pub(super) async fn leave_mark(&self, line: &Line, link: &mut Link) -> Result<(), RedisError> {
        let mut mark = redis::cmd("SET");
        mark.arg(vouched_key(&line.team, self.voucher)).arg(1).arg("EX").arg(MARK_SECONDS);
        link.run(&mark).await.map(drop)
    }

    /// Asks again although the server was believed: it may have been emptied since.
    pub(super) async fn ask_anew(&self, line: &Line, link: &mut Link) -> Result<Belief, RedisError> {
        self.believed.store(0, Ordering::Relaxed);
        self.look_into(line, link, false).await
    }

    /// Sees to it that the store has heard of its server's reign, once for each connection and beside what goes on. A new
    /// reign is then known from the first moment somebody writes in it, not when somebody asks.
    pub(super) fn introduce(&self, number: u64, link: &Link) {
        // In a cluster each team has its own server; who asks for a team waits from then.
        if !link.is_to_one_server() || self.introduced.swap(number, Ordering::Relaxed) == number {
            return;
        }
        let (mut link, question) = (link.clone(), self.question(None, false));
        tokio::spawn(async move {
            if let Err(error) = ask(&mut link, TEAMS, question).await {
                tracing::debug!(%error, "the store does not note whose reign it is");
            }
        });
    }

    /// Whether this process may begin: the store answers, and is believed of the teams that it has never seen.
    pub(super) async fn probe(&self) -> Result<(), Outage> {
        let question = &self.question(None, false);
        let answer = self.on_link(None, TEAMS, |mut link| async move { ask(&mut link, TEAMS, question).await }).await?;
        match read(&answer)? {
            (Belief::TooNew, is_new) => {
                self.tell(is_new);
                Err(Outage::Lost)
            }
            // Which teams are closed is said of each team.
            (Belief::Believed | Belief::Held, _) => Ok(()),
        }
    }

    async fn look_into(&self, line: &Line, link: &mut Link, accepts: bool) -> Result<Belief, RedisError> {
        let question = self.question(Some(&line.team), accepts);
        let answer = ask(link, &line.keys.open, question).await?;
        let (belief, is_new) =
            read(&answer).map_err(|_| RedisError::from((ErrorKind::UnexpectedReturnType, "of whose reign it is")))?;
        self.tell(is_new && belief != Belief::Held);
        // Every team of an empty store is held: that is one word about the store, and `/readyz` names the teams.
        if belief == Belief::Held && line.seen().is_held() && !self.witness.told_held.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "the store of the ledger is empty: all budgets are closed until an operator accepts that (moongate teams \
                 accept-loss --all)"
            );
        }
        Ok(belief)
    }

    fn tell(&self, is_new: bool) {
        if is_new {
            tracing::info!(
                served_in = ?self.settings.gather(),
                "the store of the ledger is new, or was restarted, replaced or emptied: other replicas have this long to \
                 restore what it lacks; until then this replica serves only teams that it has seen in it before"
            );
        }
    }

    /// The question, but for the reign.
    fn question(&self, team: Option<&TeamId>, accepts: bool) -> impl Fn(&str) -> Cmd + Send + Sync + use<> {
        let team = team.map_or_else(String::new, ToString::to_string);
        let now = self.fixed_now().unwrap_or(0);
        let must_be = u64::try_from(self.settings.gather().as_micros()).unwrap_or(u64::MAX);
        let hold = u8::from(self.settings.on_loss == OnLoss::Hold);
        move |reign| {
            let mut question = redis::cmd("EVAL");
            question.arg(SCRIPT).arg(2).arg(TEAMS).arg(REIGNS);
            question.arg(reign).arg(&team).arg(now).arg(must_be).arg(hold).arg(u8::from(accepts));
            question
        }
    }
}

/// Asks the primary that has `key` whose reign it is, and the store since when that is known.
async fn ask(link: &mut Link, key: &str, question: impl Fn(&str) -> Cmd) -> Result<Value, RedisError> {
    let mut info = redis::cmd(ASKED.0);
    info.arg(ASKED.1);
    let info: String = redis::from_redis_value(link.run_at(info, key).await?)?;
    let reign = info.lines().find_map(|line| line.strip_prefix(REIGN));
    let reign = reign.ok_or((ErrorKind::UnexpectedReturnType, "a server that has no replication id"))?;
    link.run(&question(reign)).await
}

fn read(answer: &Value) -> Result<(Belief, bool), Outage> {
    let misread = || Outage::Refused("whether the store is believed cannot be read".to_owned());
    let Value::Array(numbers) = answer else { return Err(misread()) };
    let [Value::Int(belief), Value::Int(is_new)] = numbers[..] else { return Err(misread()) };
    let belief = match belief {
        0 => Belief::TooNew,
        1 => Belief::Believed,
        2 => Belief::Held,
        _ => return Err(misread()),
    };
    Ok((belief, is_new == 1))
}
