//! Whether a server is believed when it says what it has of a team, by a process that has never seen the team.
//!
//! Such a process cannot tell a new team from a lost one, nor the latest copy from an older one; other replicas can. A
//! primary is named by its replication id, which is another after each restart and each promotion; when that was first heard
//! of stands in the store. Until it has been known for as long as the others may take to look after every team and to bring
//! what is missing, only those who have seen a team are served. A flushed store has forgotten what it was, and so is new again;
//! and lest it be flushed between the question and what is done then, a team is made only where the mark still is that was
//! left before the question.

use redis::{Cmd, ErrorKind, RedisError, Value};
use uuid::Uuid;

use super::super::keys::{REIGNS, TEAMS};
use super::super::link::Link;
use super::keeper::RedisKeeper;
use super::keys::Keys;
use crate::ledger::{OnLoss, Outage};
use crate::team::TeamId;

/// The script that says since when a primary is known.
const SCRIPT: &str = include_str!("../vouch.lua");
/// How the line begins that names a primary.
const REPLICATION_ID: &str = "master_replid:";
/// How long a mark stays; what it is left for takes milliseconds.
const MARK_SECONDS: u64 = 60;

/// What one handle knows of the server that it reaches.
pub(super) struct Trust {
    /// The number that names this handle in the marks that it leaves.
    pub(super) voucher: u64,
}

impl Trust {
    pub(super) fn new() -> Self {
        let voucher = u64::try_from(Uuid::now_v7().as_u128() & 0xf_ffff_ffff_ffff).unwrap_or(0);
        Self { voucher }
    }
}

/// Whether what is there of a team that this process has never seen is believed.
pub(super) async fn trust(keeper: &RedisKeeper, team: &TeamId) -> Result<(), Outage> {
    ask(keeper, Some(team), false).await
}

/// Whether a team of which nothing is there is new. Leaves a mark beside the team's own keys, without which it is not made.
pub(super) async fn may_be_made(keeper: &RedisKeeper, team: &TeamId) -> Result<bool, Outage> {
    let keys = Keys::of(team);
    // First of all: should the store be emptied from here on, the mark is gone with what is found out now.
    let mut mark = redis::cmd("SET");
    mark.arg(keys.may_be_made(keeper.trust.voucher)).arg(1).arg("EX").arg(MARK_SECONDS);
    keeper.run(&keys.state, &mark).await?;
    let mut known = redis::cmd("SISMEMBER");
    known.arg(TEAMS).arg(team.as_str());
    if keeper.run(TEAMS, &known).await? == Value::Int(1) {
        return Ok(false);
    }
    ask(keeper, Some(team), false).await.map(|()| true)
}

/// Notes in the store that it has this team.
pub(super) async fn made(keeper: &RedisKeeper, team: &TeamId) {
    let mut note = redis::cmd("SADD");
    note.arg(TEAMS).arg(team.as_str());
    if let Err(error) = keeper.run(TEAMS, &note).await {
        tracing::debug!(%error, %team, "the store does not note that it has this team");
    }
}

async fn ask(keeper: &RedisKeeper, team: Option<&TeamId>, accepts: bool) -> Result<(), Outage> {
    let key = team.map_or_else(|| TEAMS.to_owned(), |team| Keys::of(team).state);
    let team = team.map_or_else(String::new, ToString::to_string);
    let must_be = u64::try_from(keeper.settings.gather().as_micros()).unwrap_or(u64::MAX);
    let hold = u8::from(keeper.settings.on_loss == OnLoss::Hold);
    let now = keeper.fixed_now();
    let question = &|replication_id: &str| {
        let mut question = redis::cmd("EVAL");
        question.arg(SCRIPT).arg(2).arg(TEAMS).arg(REIGNS);
        question.arg(replication_id).arg(&team).arg(now).arg(must_be).arg(hold).arg(u8::from(accepts));
        question
    };
    let key = &key;
    let answer = keeper.on_link(key, |link| answered(link, key, question)).await?;
    let (belief, _): (u8, u8) =
        redis::from_redis_value(answer).map_err(|_| Outage::Refused("whether the store is trusted".to_owned()))?;
    if belief == 1 { Ok(()) } else { Err(Outage::Lost) }
}

async fn answered(mut link: Link, key: &str, question: impl Fn(&str) -> Cmd) -> Result<Value, RedisError> {
    let mut info = redis::cmd("INFO");
    info.arg("replication");
    let info: String = redis::from_redis_value(link.run_at(info, key).await?)?;
    let id = info.lines().find_map(|line| line.strip_prefix(REPLICATION_ID));
    let id = id.ok_or((ErrorKind::UnexpectedReturnType, "a server that has no replication id"))?;
    link.run(&question(id)).await
}
