//! Trust in a server: whether a process that has never seen a team believes what the server has of
//! it.
//!
//! Such a process cannot tell a new team from a lost one, nor the latest copy from an older one;
//! other replicas can. A primary is identified by its replication id, which changes with each
//! restart and each promotion, and the store notes when an id was first seen. Until an id is old
//! enough for other replicas to have visited every team and restored what is missing, only
//! processes that have seen a team are served. A flushed store has lost these notes too, and so
//! counts as new. In case it is flushed between the question and the write, a team is created only
//! while a mark that was set before the question still exists.

use std::sync::atomic::Ordering;

use super::access::RedisKeeper;
use super::keys::{Keys, REPLICATION_IDS, TEAMS};
use super::replication_ids::replication_id;
use crate::ledger::OnLoss;
use crate::ledger::keeper::{LeftMark, TrustState};
use crate::store::answer::read;
use crate::store::{Cmd, Link, Outage, RedisError, Value, cmd};
use crate::team::TeamId;

/// The script that says since when a primary is known.
const SCRIPT: &str = include_str!("trust.lua");
/// The script that sets a mark.
const LEAVE_MARK: &str = include_str!("mark.lua");
/// Lifetime of a mark, which is needed for milliseconds.
const MARK_SECONDS: u64 = 60;

/// Whether to believe what the server has of a team that this process has never seen. An operator's
/// acceptance counts for every process.
pub(super) async fn trust(
    keeper: &RedisKeeper,
    team: &TeamId,
    accepts: bool,
) -> Result<TrustState, Outage> {
    let number = keeper.server().await?;
    if !accepts
        && number.is_some_and(|number| keeper.trust.trusted.load(Ordering::Relaxed) == number)
    {
        return Ok(TrustState::Trusted);
    }
    let state = look_into(keeper, Some(team), accepts).await?;
    if let (TrustState::Trusted, false, Some(number)) = (state, accepts, number) {
        keeper.trust.trusted.store(number, Ordering::Relaxed);
    }
    Ok(state)
}

/// Makes the store note its server again, since it may have been emptied.
pub(super) async fn doubt(keeper: &RedisKeeper, team: &TeamId) {
    keeper.trust.trusted.store(0, Ordering::Relaxed);
    if let Err(error) = look_into(keeper, Some(team), false).await {
        tracing::debug!(%error, "the store could not note which server it is");
    }
}

/// Checks whether this process may start: the store answers, and is trusted about teams that the
/// process has never seen.
pub(super) async fn probe(keeper: &RedisKeeper) -> Result<(), Outage> {
    match look_into(keeper, None, false).await? {
        TrustState::TooNew => Err(Outage::Lost),
        // Closed teams are reported one by one.
        TrustState::Trusted | TrustState::Held => Ok(()),
    }
}

/// Notes the server in the store, once per connection and in the background. A new server is then
/// known from the first write on, and not from the first question.
pub(super) async fn introduce(keeper: &RedisKeeper) -> Result<(), Outage> {
    // A cluster has a server for each team, which is noted when the team is first asked for.
    let Some((number, mut link)) = keeper.client.to_one_server().await? else { return Ok(()) };
    if keeper.trust.introduced.swap(number, Ordering::Relaxed) == number {
        return Ok(());
    }
    let question = question(keeper, None, false);
    tokio::spawn(async move {
        if let Err(error) = answered(&mut link, TEAMS, question).await {
            tracing::debug!(%error, "the store could not note which server it is");
        }
    });
    Ok(())
}

/// Sets a mark beside a team's own keys. Its value is when it was set: a request that comes again
/// after the store was emptied sets another one.
pub(super) async fn leave_mark(
    keeper: &RedisKeeper,
    team: &TeamId,
    name: u64,
) -> Result<LeftMark, Outage> {
    let keys = Keys::of(team);
    let mut leave = cmd("EVAL");
    leave.arg(LEAVE_MARK).arg(1).arg(keys.mark(name)).arg(MARK_SECONDS);
    let left_at = read(keeper.run(team, &keys.state, &leave).await?, "when a mark was left")?;
    Ok(LeftMark { name, left_at })
}

/// Whether a team that was not found is new.
pub(super) async fn may_be_made(
    keeper: &RedisKeeper,
    team: &TeamId,
    accepts: bool,
) -> Result<bool, Outage> {
    if accepts {
        return Ok(true);
    }
    let mut known = cmd("SISMEMBER");
    known.arg(TEAMS).arg(team.as_str());
    if keeper.run_about_all(TEAMS, &known).await? == Value::Int(1) {
        return Ok(false);
    }
    // Asked again although the server was trusted: it may have been emptied since.
    keeper.trust.trusted.store(0, Ordering::Relaxed);
    match look_into(keeper, Some(team), false).await? {
        TrustState::Trusted => Ok(true),
        TrustState::TooNew | TrustState::Held => Err(Outage::Lost),
    }
}

/// Notes in the store that it has this team.
pub(super) async fn made(keeper: &RedisKeeper, team: &TeamId) {
    let mut note = cmd("SADD");
    note.arg(TEAMS).arg(team.as_str());
    if let Err(error) = keeper.run_about_all(TEAMS, &note).await {
        tracing::debug!(%error, %team, "the store could not note that it has this team");
    }
}

async fn look_into(
    keeper: &RedisKeeper,
    team: Option<&TeamId>,
    accepts: bool,
) -> Result<TrustState, Outage> {
    let key = &team.map_or_else(|| TEAMS.to_owned(), |team| Keys::of(team).state);
    let question = &question(keeper, team, accepts);
    let answer = keeper
        .client
        .go_on(team, key, |mut link| async move { answered(&mut link, key, question).await });
    let (state, is_new): (u8, u8) = read(answer.await?, "whether the store is trusted")?;
    let state = match state {
        0 => TrustState::TooNew,
        1 => TrustState::Trusted,
        _ => TrustState::Held,
    };
    if is_new == 1 && state != TrustState::Held {
        tracing::info!(
            served_in = ?keeper.settings().gather(),
            "the store of the ledger is new, or was restarted, replaced or emptied: other \
             replicas have this long to restore what it lacks; until then this replica serves \
             only teams that it has seen in it before"
        );
    }
    // One log line covers all teams, since all are held in an empty store; `/readyz` lists them.
    if state == TrustState::Held
        && team.is_some()
        && !keeper.trust.logged_held.swap(true, Ordering::Relaxed)
    {
        tracing::error!(
            "the store of the ledger is empty: all budgets are closed until an operator accepts \
             that (moongate teams accept-loss --all)"
        );
    }
    Ok(state)
}

/// The question without the server's replication id.
fn question(
    keeper: &RedisKeeper,
    team: Option<&TeamId>,
    accepts: bool,
) -> impl Fn(&str) -> Cmd + Send + Sync + use<> {
    let team = team.map_or_else(String::new, ToString::to_string);
    let must_be = u64::try_from(keeper.settings().gather().as_micros()).unwrap_or(u64::MAX);
    let hold = u8::from(keeper.settings().on_loss == OnLoss::Hold);
    let now = keeper.fixed_now();
    move |replication_id| {
        let mut question = cmd("EVAL");
        question.arg(SCRIPT).arg(2).arg(TEAMS).arg(REPLICATION_IDS);
        question
            .arg(replication_id)
            .arg(&team)
            .arg(now)
            .arg(must_be)
            .arg(hold)
            .arg(u8::from(accepts));
        question
    }
}

/// Asks the primary that has `key` for its replication id, and the store since when that is known.
async fn answered(
    link: &mut Link,
    key: &str,
    question: impl Fn(&str) -> Cmd,
) -> Result<Value, RedisError> {
    let id = replication_id(link, key).await?;
    link.run(&question(&id)).await
}
