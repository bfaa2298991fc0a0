//! Upgrades a team from the previous layout, `mg1`: on first use, by whichever process comes first.
//!
//! The script (`upgrade.lua`) does it in one step, which also locks the old layout: a process of
//! the previous release is refused from then on, so that nothing is spent twice. Its open calls go
//! on here with their deadlines; only the sweep can end them.

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

/// Hash: the old layout's record of the team.
fn old_key(team: &TeamId) -> String {
    format!("mg1:{{{team}}}:s:team")
}

/// Whether a step found nothing of the team.
pub(super) fn is_due(reply: &Reply) -> bool {
    reply.found.as_ref().is_some_and(|found| found.revision.is_none())
}

/// Upgrades a team that this layout does not have. Returns whether it has it now.
pub(super) async fn take_over(keeper: &RedisKeeper, team: &TeamId) -> Result<bool, Outage> {
    move_team(keeper, team, false).await
}

/// Upgrades a team before a read, so that the read does not find it missing.
pub(super) async fn before_reading(keeper: &RedisKeeper, team: &TeamId) -> Result<(), Outage> {
    let old = old_key(team);
    let mut kind = cmd("TYPE");
    kind.arg(&old);
    if keeper.read(team, &old, &kind).await? == Value::SimpleString("hash".to_owned()) {
        match trust::trust(keeper, team, false).await? {
            TrustState::Trusted => take_over(keeper, team).await?,
            TrustState::TooNew | TrustState::Held => return Err(Outage::Lost),
        };
    }
    Ok(())
}

/// Upgrades a team that was closed after a loss, when an operator accepts what is left.
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
    let (verdict, open) =
        <(u8, u64)>::from_redis_value(answer).map_err(|_| unreadable("what was moved"))?;
    match verdict {
        0 => Ok(false),
        1 => {
            tracing::info!(
                %team,
                open,
                "what the release before this one has kept of a team was taken over"
            );
            Ok(true)
        }
        _ => Err(Outage::Lost),
    }
}

/// Days that may have usage: those kept, and one more at each end for the time zones.
fn days(keeper: &RedisKeeper) -> impl Iterator<Item = String> {
    let now = keeper.client.store_now();
    let kept = keeper.settings().retention.usage;
    let last = now.to_zoned(TimeZone::UTC).date().saturating_add(1.day());
    let first = now
        .checked_sub(kept)
        .unwrap_or(Timestamp::MIN)
        .to_zoned(TimeZone::UTC)
        .date()
        .saturating_sub(1.day());
    first.series(1.day()).take_while(move |day| *day <= last).map(|day| day.to_string())
}
