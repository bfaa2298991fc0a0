//! Checks that the servers are set up so that a ledger is safe on them. Reads `INFO`, which is open
//! to ACL users that may not read the configuration.
//!
//! A server that evicts may drop a user's hash and with it what the user has spent, so that the
//! budget is fresh again. An evicting policy takes effect only under `maxmemory`; without that it
//! is a warning, in case someone sets it later.

use redis::{Cmd, FromRedisValue, RedisError, Value};

use super::Outage;
use super::client::Client;
use super::failure::IS_A_CLUSTER;
use super::link::Link;
use super::settings::Topology;
use super::{Flaw, Weight};

impl Client {
    /// Flaws of the server, the primary that Sentinels name, or each primary of a cluster. `key` is
    /// any key that the caller uses.
    pub(crate) async fn inspect(&self, key: &str) -> Result<Vec<Flaw>, Outage> {
        let infos = self.on_link(None, key, |link| async move { ask(link).await }).await?;
        let expects_a_cluster = match self.settings.topology {
            Topology::Single { .. } | Topology::Sentinel { .. } => false,
            Topology::Cluster { .. } => true,
        };
        let flaws = infos.iter().map(|(server, info)| {
            Info::read(info).flaws(server, expects_a_cluster, self.settings.allow_eviction)
        });
        Ok(flaws.flatten().collect())
    }
}

async fn ask(mut link: Link) -> Result<Vec<(String, String)>, RedisError> {
    let mut info = Cmd::new();
    info.arg("INFO").arg("memory").arg("cluster");
    let infos = link.run_everywhere(info).await?;
    infos.into_iter().map(|(server, info)| Ok((server, text(info)?))).collect()
}

fn text(info: Value) -> Result<String, RedisError> {
    Ok(String::from_redis_value(info)?)
}

/// Settings of a server. What it does not report (another product, an older version) is not
/// checked.
#[derive(Debug, Default)]
struct Info<'a> {
    policy: Option<&'a str>,
    memory_has_an_end: bool,
    is_in_a_cluster: bool,
}

impl<'a> Info<'a> {
    fn read(info: &'a str) -> Self {
        let value =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Self {
            policy: value("maxmemory_policy"),
            memory_has_an_end: value("maxmemory").is_some_and(|bytes| bytes != "0"),
            is_in_a_cluster: value("cluster_enabled") == Some("1"),
        }
    }

    fn flaws(
        self,
        server: &str,
        expects_a_cluster: bool,
        allow_eviction: bool,
    ) -> impl Iterator<Item = Flaw> + use<> {
        let eviction = self.policy.filter(|policy| *policy != "noeviction").map(|policy| {
            let (weight, what) = match (self.memory_has_an_end, allow_eviction) {
                (false, _) => {
                    (Weight::Warning, "evicts nothing as long as maxmemory is 0, but would")
                }
                (true, true) => (
                    Weight::Warning,
                    "may evict what was spent, as ledger.redis.allow_eviction lets it",
                ),
                (true, false) => (
                    Weight::Refusal,
                    "evicts: what a team has spent may be forgotten, and be spent again",
                ),
            };
            let text = format!(
                "{server} {what} (maxmemory-policy {policy}): set maxmemory-policy noeviction"
            );
            Flaw { weight, text }
        });
        let cluster = (self.is_in_a_cluster && !expects_a_cluster)
            .then(|| Flaw { weight: Weight::Error, text: format!("{server}: {IS_A_CLUSTER}") });
        eviction.into_iter().chain(cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaws(info: &str, expects_a_cluster: bool, allow_eviction: bool) -> Vec<(Weight, bool)> {
        let flaws = Info::read(info).flaws("127.0.0.1:6379", expects_a_cluster, allow_eviction);
        flaws.map(|flaw| (flaw.weight, flaw.text.starts_with("127.0.0.1:6379"))).collect()
    }

    #[test]
    fn an_evicting_policy_is_a_flaw_if_memory_is_bounded() {
        let lru = "# Memory\r\nused_memory:9\r\nmaxmemory:100\r\nmaxmemory_policy:allkeys-lru\r\n\
                   # Cluster\r\ncluster_enabled:0\r\n";
        assert_eq!(flaws(lru, false, false), [(Weight::Refusal, true)]);
        assert_eq!(flaws(lru, false, true), [(Weight::Warning, true)]);
        assert_eq!(
            flaws(&lru.replace("maxmemory:100", "maxmemory:0"), false, false),
            [(Weight::Warning, true)]
        );
        assert_eq!(
            flaws(&lru.replace("allkeys-lru", "volatile-ttl"), false, false),
            [(Weight::Refusal, true)]
        );
        assert_eq!(flaws(&lru.replace("allkeys-lru", "noeviction"), false, false), []);
        assert_eq!(flaws("# Memory\r\nused_memory:9\r\n", false, false), []);
    }

    #[test]
    fn a_cluster_node_configured_as_one_server_is_a_flaw() {
        let node = "maxmemory:0\r\nmaxmemory_policy:noeviction\r\ncluster_enabled:1\r\n";
        assert_eq!(flaws(node, false, false), [(Weight::Error, true)]);
        assert_eq!(flaws(node, true, false), []);
    }
}
