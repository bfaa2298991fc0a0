//! Identifies the server that has a team's records, by a number made from its replication id, which
//! changes with each restart and each promotion. A single server is asked once per connection. In a
//! cluster, teams are on different servers that change behind one connection: there each step says
//! which server it is for, and another one does not write it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::{ErrorKind, FromRedisValue, Link, RedisError, cmd};
use crate::team::TeamId;

/// Beginning of the line with a primary's replication id.
const REPLICATION_ID: &str = "master_replid:";
/// Hexadecimal digits of a replication id that make the number: as many as JSON numbers hold
/// exactly.
const DIGITS: usize = 12;

/// Answers of one handle.
#[derive(Default)]
pub(super) struct ReplicationIds {
    of_server: AtomicU64,
    of_teams: Mutex<HashMap<TeamId, u64>>,
}

impl ReplicationIds {
    /// The last answer for a team's server; 0: none.
    pub(super) fn last(&self, team: &TeamId) -> u64 {
        let of_team = self.of_teams().get(team).copied();
        of_team.unwrap_or_else(|| self.of_server.load(Ordering::Relaxed))
    }

    /// The number of the server that has a team, to which `key` belongs.
    pub(super) async fn of(
        &self,
        link: &mut Link,
        team: &TeamId,
        key: &str,
    ) -> Result<u64, RedisError> {
        if link.is_to_one_server() {
            let replication = match link.pulse().replication().get() {
                Some(replication) => *replication,
                None => {
                    let number = number(&replication_id(link, key).await?);
                    *link.pulse().replication().get_or_init(|| number)
                }
            };
            self.of_server.store(replication, Ordering::Relaxed);
            return Ok(replication);
        }
        let known = self.of_teams().get(team).copied();
        if let Some(replication) = known {
            return Ok(replication);
        }
        Ok(self.learn(team, &replication_id(link, key).await?))
    }

    /// Notes the replication id of a team's server. Returns its number.
    pub(super) fn learn(&self, team: &TeamId, replication_id: &str) -> u64 {
        let number = number(replication_id);
        self.of_teams().insert(team.clone(), number);
        number
    }

    /// The first digits of the replication id with this number, for the script to compare; `None`
    /// when the connection ends with its one server, or the id is unknown.
    pub(super) fn to_compare(link: &Link, number: u64) -> Option<String> {
        (!link.is_to_one_server() && number > 0).then(|| format!("{number:0DIGITS$x}"))
    }

    fn of_teams(&self) -> MutexGuard<'_, HashMap<TeamId, u64>> {
        self.of_teams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of a replication id; 0 for a malformed one.
fn number(replication_id: &str) -> u64 {
    replication_id
        .get(..DIGITS)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or(0)
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
