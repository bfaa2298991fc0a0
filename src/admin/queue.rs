//! `GET /admin/v1/queue`: the calls that wait for the shared account, over all replicas, each
//! team's share of it, and what is left in the account's windows.

use std::sync::Arc;

use futures_util::future::try_join_all;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use super::accounts::{Account, Accounts, away};
use super::call;
use super::teams::Teams;
use crate::credits::Credits;
use crate::http::Answer;
use crate::ledger::{Ledger, OpenCall, Phase};
use crate::permits::{AccountLimits, Permits, Remaining};
use crate::refusal::Refusal;
use crate::upstream::Upstream;

/// Most waiting calls that are shown, the oldest first.
const SHOWN_MAX: usize = 1_000;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueView {
    teams: Vec<TeamInQueue>,
    waiting: Vec<WaitingCall>,
    windows: Vec<Window>,
}

/// A team with open calls.
#[derive(Debug, Serialize)]
struct TeamInQueue {
    team: String,
    weight: u32,
    /// Share of the free calls that the team gets while the present queue lasts, by weight; `null`
    /// if it has no call in the queue.
    share: Option<f64>,
    waiting: usize,
    running: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WaitingCall {
    call_id: String,
    request_id: String,
    team: String,
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_name: Option<String>,
    endpoint: String,
    reserved: Credits,
    since: Timestamp,
}

/// One window of the shared account, or of one of its keys.
#[derive(Debug, Serialize)]
struct Window {
    /// Key name; `null` for all keys together.
    key: Option<String>,
    window: &'static str,
    limit: Option<u64>,
    remaining: u64,
}

/// Answers the page.
///
/// # Errors
/// `ledger_unavailable`.
pub(super) async fn answer(
    accounts: &Accounts,
    teams: &Teams,
    upstream: &Upstream,
    permits: &dyn Permits,
) -> Result<Answer, Refusal> {
    let all = accounts.of(None).await?;
    let ledger = accounts.ledger();
    let mut read = try_join_all(all.iter().map(|account| open(ledger, account))).await?;
    read.retain(|(_, calls)| !calls.is_empty());
    let is_waiting = |call: &&OpenCall| call.phase != Phase::Dispatched;
    let weight =
        |account: &Account| teams.teams.read().get(&account.team).map_or(1, |team| team.weight);
    let waits = |calls: &[OpenCall]| calls.iter().filter(is_waiting).count();
    let weights: u32 =
        read.iter().filter(|(_, calls)| waits(calls) > 0).map(|(account, _)| weight(account)).sum();
    let team = |(account, calls): &(&Account, Vec<OpenCall>)| {
        let (weight, waiting) = (weight(account), waits(calls));
        TeamInQueue {
            team: account.team.to_string(),
            weight,
            share: (waiting > 0).then(|| f64::from(weight) / f64::from(weights)),
            waiting,
            running: calls.len() - waiting,
        }
    };
    let of_teams = read.iter().map(team).collect();
    let call = |account: &Account, call: &OpenCall| WaitingCall {
        call_id: call.id.to_string(),
        request_id: call.summary.request_id.clone(),
        team: account.team.to_string(),
        user: call.summary.user.clone(),
        key_name: teams.registry_sync.key_name(&call.summary.user),
        endpoint: call.summary.model.clone(),
        reserved: call.reserved,
        since: call.admitted_at,
    };
    let waiting = read.iter().flat_map(|(account, calls)| {
        calls.iter().filter(is_waiting).map(|open| call(account, open))
    });
    let mut waiting: Vec<WaitingCall> = waiting.collect();
    waiting.sort_by_key(|call| call.since);
    waiting.truncate(SHOWN_MAX);
    let windows = windows(upstream, permits).await?;
    call::json(StatusCode::OK, &QueueView { teams: of_teams, waiting, windows })
}

async fn open<'a>(
    ledger: &dyn Ledger,
    account: &'a Account,
) -> Result<(&'a Account, Vec<OpenCall>), Refusal> {
    // Most teams have nothing open: a number is read for less than a list.
    let calls = match ledger.open(&account.team).await.map_err(|outage| away(&outage))? {
        0 => Vec::new(),
        _ => ledger.open_calls(&account.team).await.map_err(|outage| away(&outage))?,
    };
    Ok((account, calls))
}

async fn windows(upstream: &Upstream, permits: &dyn Permits) -> Result<Vec<Window>, Refusal> {
    let Some(limits) = upstream.limits.clone() else { return Ok(Vec::new()) };
    let answer = permits.batch(&limits, &[]).await.map_err(|outage| away(&outage))?;
    Ok(answer.remaining.into_iter().map(|left| window(&limits, left)).collect())
}

fn window(limits: &Arc<AccountLimits>, left: Remaining) -> Window {
    let allowance = match &left.key {
        None => Some(&limits.account),
        Some(key) => limits.keys.iter().find(|(name, _)| name == key).map(|(_, of)| of),
    };
    Window {
        key: left.key.map(|key| key.to_string()),
        window: left.span.name(),
        limit: allowance.and_then(|allowance| allowance.of(left.span)),
        remaining: left.calls,
    }
}
