//! Takes over what the layout before this one, `mg1`, keeps of a team: on first sight, by whichever process comes
//! first.
//!
//! The script (`upgrade.lua`) does it as one step, and in the same step it shuts that layout: a process of the release
//! before that still runs is refused from then on, so that nothing is spent twice. What it has under way goes on here,
//! with the deadlines it had; nobody can end it any more but the sweep.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::access::RedisKeeper;
use super::keys::Keys;
use super::trust;
use crate::ledger::Outage;
use crate::ledger::keeper::{Reply, TrustState};
use crate::store::answer::unreadable;
use crate::store::{FromRedisValue, Value, cmd};
use crate::team::TeamId;

/// The script that moves a team.
const TEXT: &str = include_str!("upgrade.lua");

/// Hash: what the layout before this one has of the team itself.
fn old_key(team: &TeamId) -> String {
    format!("mg1:{{{team}}}:s:team")
}

/// Whether a step has found nothing of the team.
pub(super) fn is_due(reply: &Reply) -> bool {
    reply.found.as_ref().is_some_and(|found| found.revision.is_none())
}

/// Takes over what is there of a team of which this layout has nothing. Whether it has something now.
pub(super) async fn take_over(keeper: &RedisKeeper, team: &TeamId) -> Result<bool, Outage> {
    move_team(keeper, team, false).await
}

/// Takes over what is there of a team of which something is to be read, so that it is not told that there is nothing.
pub(super) async fn before_reading(keeper: &RedisKeeper, team: &TeamId) -> Result<(), Outage> {
    let old = old_key(team);
    let mut kind = cmd("TYPE");
    kind.arg(&old);
    if keeper.read(team, &old, &kind).await? == Value::SimpleString("hash".to_owned()) {
        match trust::trust(keeper, team, false).await? {
            TrustState::Believed => take_over(keeper, team).await?,
            TrustState::TooNew | TrustState::Held => return Err(Outage::Lost),
        };
    }
    Ok(())
}

/// Takes over a team that was closed after a loss: an operator accepts what is left.
pub(super) async fn accept(keeper: &RedisKeeper, team: &TeamId) -> Result<(), Outage> {
    move_team(keeper, team, true).await.map(drop)
}

async fn move_team(keeper: &RedisKeeper, team: &TeamId, accepts: bool) -> Result<bool, Outage> {
    let (old, keys) = (old_key(team), Keys::of(team));
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let settings = keeper.settings();
    let mut command = cmd("EVAL");
    command.arg(TEXT).arg(2).arg(&old).arg(&keys.state).arg(keeper.client.fixed_now().unwrap_or(0));
    command.arg(micros(settings.reservation_ttl)).arg(micros(settings.gather()));
    command.arg(u8::from(accepts));
    for day in days(keeper) {
        command.arg(day);
    }
    let answer = keeper.run(team, &keys.state, &command).await?;
    let (verdict, open) = <(u8, u64)>::from_redis_value(answer).map_err(|_| unreadable("what was moved"))?;
    match verdict {
        0 => Ok(false),
        1 => {
            tracing::info!(%team, open, "what the release before this one has kept of a team was taken over");
            Ok(true)
        }
        _ => Err(Outage::Lost),
    }
}

/// The days of which there may be usage: those that are kept, and the days before and after them, in whichever zone.
fn days(keeper: &RedisKeeper) -> impl Iterator<Item = String> {
    let now = keeper.client.store_now();
    let kept = keeper.settings().retention.usage;
    let last = now.to_zoned(TimeZone::UTC).date().saturating_add(1.day());
    let first = now.checked_sub(kept).unwrap_or(Timestamp::MIN).to_zoned(TimeZone::UTC).date().saturating_sub(1.day());
    first.series(1.day()).take_while(move |day| *day <= last).map(|day| day.to_string())
}
