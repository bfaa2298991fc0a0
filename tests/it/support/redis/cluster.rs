//! A real Redis Cluster that a test starts, restarts and breaks.

use std::process::Command;

use redis::RedisResult;

use super::{RedisServer, free_port, wait_until};

/// A cluster of three primaries that share all slots.
pub(crate) struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts one and waits until every node knows that it is whole.
    pub(crate) async fn start() -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(Self::node().await);
        }
        let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port()));
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let cluster = Self { nodes };
        cluster.is_whole().await;
        cluster.has_been_known_for_long().await;
        cluster
    }

    async fn node() -> RedisServer {
        let bus = free_port().to_string();
        let options =
            ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--cluster-port", &bus];
        RedisServer::start_with(&options).await
    }

    /// Does the same for a cluster: the node that keeps the replication ids gets those of all
    /// nodes.
    async fn has_been_known_for_long(&self) {
        for node in &self.nodes {
            let replication_id = node.replication_id().await;
            for keeps in &self.nodes {
                let _: RedisResult<redis::Value> =
                    keeps.ask(&["HSET", "mg1:{mg1:teams}:reigns", &replication_id, "1"]).await;
                let _: RedisResult<redis::Value> = keeps.ask(&["SADD", "mg1:teams", "*"]).await;
            }
        }
    }

    /// Starts a replica of the node at this place, and waits until it is in step and all know it.
    pub(crate) async fn replica_of(&self, place: usize) -> RedisServer {
        let (replica, primary) = (Self::node().await, &self.nodes[place]);
        let port = primary.port().to_string();
        let (_, bus): (String, String) =
            primary.ask(&["CONFIG", "GET", "cluster-port"]).await.unwrap();
        replica.run(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
        let name: String = primary.ask(&["CLUSTER", "MYID"]).await.unwrap();
        wait_until("it may be a replica", || async {
            replica.ask::<redis::Value>(&["CLUSTER", "REPLICATE", &name]).await.is_ok()
        })
        .await;
        replica.is_in_step().await;
        for node in &self.nodes {
            wait_until("every node knows the replica", || async {
                let known: String = node.ask(&["CLUSTER", "NODES"]).await.unwrap_or_default();
                known.lines().any(|line| line.contains("slave") && line.contains(&name))
            })
            .await;
        }
        self.has_been_known_for_long().await;
        replica
    }

    /// Ends a node at once.
    pub(crate) fn kill(&mut self, place: usize) {
        self.nodes[place].kill();
    }

    /// Ends all nodes at once and starts them again, with what they had saved.
    pub(crate) async fn restart(&mut self) {
        for node in &mut self.nodes {
            node.restart();
        }
        self.is_whole().await;
        self.has_been_known_for_long().await;
    }

    async fn is_whole(&self) {
        for node in &self.nodes {
            wait_until("the cluster is whole", || async {
                let info: String = node.ask(&["CLUSTER", "INFO"]).await.unwrap_or_default();
                info.contains("cluster_state:ok")
            })
            .await;
        }
    }

    /// Makes every node announce another port, each its own, and waits until all know.
    pub(crate) async fn announce(&self, ports: &[u16]) {
        for (node, port) in self.nodes.iter().zip(ports) {
            node.run(&["CONFIG", "SET", "cluster-announce-port", &port.to_string()]).await;
        }
        for node in &self.nodes {
            wait_until("every node knows where the others are", || async {
                let known: String = node.ask(&["CLUSTER", "NODES"]).await.unwrap_or_default();
                ports.iter().all(|port| known.contains(&format!(":{port}@")))
            })
            .await;
        }
    }

    /// The nodes.
    pub(crate) fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The URLs of all nodes.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }
}
