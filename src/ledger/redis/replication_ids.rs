//! Which server has a team's records: a number made of its replication id, which is another after each restart and each
//! promotion. One server is asked once for each connection. In a cluster teams have servers of their own, which change
//! behind one connection: there it is asked for each team, again after every failure, and after a second in any case.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::{ErrorKind, FromRedisValue, Link, RedisError, cmd};
use crate::team::TeamId;

/// How the line begins that names a primary.
const REPLICATION_ID: &str = "master_replid:";
/// How long it is believed which server of a cluster has a team.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// How much of a replication id makes the number: what every reader of JSON holds exactly.
const DIGITS: usize = 12;

/// What one handle was told.
#[derive(Default)]
pub(super) struct ReplicationIds {
    of_server: AtomicU64,
    of_teams: Mutex<HashMap<TeamId, (Instant, u64)>>,
}

impl ReplicationIds {
    /// The last that was told of a team's server; 0: nothing.
    pub(super) fn last(&self, team: &TeamId) -> u64 {
        let of_team = self.of_teams().get(team).map(|(_, reign)| *reign);
        of_team.unwrap_or_else(|| self.of_server.load(Ordering::Relaxed))
    }

    /// What the server is that has a team, of which `key` is one.
    pub(super) async fn of(&self, link: &mut Link, team: &TeamId, key: &str) -> Result<u64, RedisError> {
        if link.is_to_one_server() {
            let reign = match link.pulse().reign().get() {
                Some(reign) => *reign,
                None => {
                    let told = number(&replication_id(link, key).await?);
                    *link.pulse().reign().get_or_init(|| told)
                }
            };
            self.of_server.store(reign, Ordering::Relaxed);
            return Ok(reign);
        }
        let told = self.of_teams().get(team).copied();
        if let Some((_, reign)) = told.filter(|(at, _)| at.elapsed() < BELIEVED_FOR) {
            return Ok(reign);
        }
        let reign = number(&replication_id(link, key).await?);
        self.of_teams().insert(team.clone(), (Instant::now(), reign));
        Ok(reign)
    }

    /// Has the server of a team asked again.
    pub(super) fn doubt(&self, team: &TeamId) {
        if let Some((at, _)) = self.of_teams().get_mut(team) {
            *at = at.checked_sub(BELIEVED_FOR).unwrap_or(*at);
        }
    }

    fn of_teams(&self) -> MutexGuard<'_, HashMap<TeamId, (Instant, u64)>> {
        self.of_teams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number of a replication id. One that is none of ours names nothing.
fn number(replication_id: &str) -> u64 {
    replication_id.get(..DIGITS).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// The replication id of the primary that has `key`.
pub(super) async fn replication_id(link: &mut Link, key: &str) -> Result<String, RedisError> {
    let mut info = cmd("INFO");
    info.arg("replication");
    let info = String::from_redis_value(link.run_at(info, key).await?)?;
    let id = info.lines().find_map(|line| line.strip_prefix(REPLICATION_ID));
    let id = id.ok_or((ErrorKind::UnexpectedReturnType, "a server that has no replication id"))?;
    Ok(id.trim().to_owned())
}
