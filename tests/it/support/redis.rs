//! Real redis-servers for tests: one, a cluster of three, or a primary with a replica and
//! Sentinels. Gone when dropped.

mod cluster;

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use moongate::store::Topology;
use redis::{FromRedisValue, RedisResult};
use tempfile::TempDir;

pub(crate) use self::cluster::RedisCluster;

/// How long a server may take to do what a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A redis-server of its own, empty, keeping nothing on disk.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    options: Vec<String>,
    // The server works in it.
    dir: TempDir,
}

impl RedisServer {
    /// Starts one that gateways have known for long, and waits until it answers.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with more options (`["--maxmemory", "2mb"]`) and waits until it answers.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
        // Starting takes a few milliseconds; tests that run beside this one have threads of their
        // own.
        let server = Self::spawn(options);
        server.has_been_known_for_long().await;
        server
    }

    /// Starts one in which nobody has ever written anything.
    pub(crate) fn brand_new() -> Self {
        Self::spawn(&[])
    }

    /// Lets a gateway that has never seen a team in this server believe that the team is new,
    /// without waiting for others that might know better. A restart, a promotion and a flush undo
    /// it.
    pub(crate) async fn has_been_known_for_long(&self) {
        // One that wants a password says nothing. A replica takes no writes, nor does a node of
        // half a cluster.
        let Ok(replication_id) = self.its_replication_id().await else { return };
        let _: RedisResult<redis::Value> =
            self.ask(&["HSET", "mg1:{mg1:teams}:reigns", &replication_id, "1"]).await;
        let _: RedisResult<redis::Value> = self.ask(&["SADD", "mg1:teams", "*"]).await;
    }

    /// The replication id.
    pub(crate) async fn replication_id(&self) -> String {
        self.its_replication_id().await.unwrap()
    }

    async fn its_replication_id(&self) -> RedisResult<String> {
        let info: String = self.ask(&["INFO", "replication"]).await?;
        Ok(info.lines().find_map(|line| line.strip_prefix("master_replid:")).unwrap().to_owned())
    }

    /// Starts a replica and waits until it is in step.
    pub(crate) async fn replica_of(primary: &Self) -> Self {
        let replica =
            Self::start_with(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]).await;
        replica.is_in_step().await;
        // A primary takes another replication id with its first replica.
        primary.has_been_known_for_long().await;
        replica
    }

    async fn is_in_step(&self) {
        wait_until("the replica is in step", || async {
            let info: String = self.ask(&["INFO", "replication"]).await.unwrap_or_default();
            info.contains("master_link_status:up")
        })
        .await;
    }

    /// Starts a Sentinel that watches it alone, and that asks its clients for a password.
    pub(crate) fn watched_with_password(&self, password: &str) -> Self {
        let watch =
            format!("sentinel monitor {} 127.0.0.1 {} 1\n", RedisSentinel::MASTER, self.port);
        Self::spawn_as(&["--sentinel", "--requirepass", password], &watch, "+monitor master")
    }

    fn spawn(options: &[&str]) -> Self {
        let keeps_nothing = [&["--save", "", "--appendonly", "no"][..], options].concat();
        Self::spawn_as(&keeps_nothing, "", "Ready to accept connections")
    }

    /// Starts one on a port from [`free_port`], where nobody has answered so far.
    pub(crate) async fn start_on(port: u16) -> Self {
        let options = ["--save", "", "--appendonly", "no"];
        Self::spawn_on(port, &options, "", "Ready to accept connections")
            .expect("the port is still free")
    }

    /// Starts a process with a configuration file and waits until its log says that it is ready.
    fn spawn_as(options: &[&str], file: &str, ready: &str) -> Self {
        // Another test may take a port in between: then the process ends at once, and another port
        // is tried.
        let started = (0..20).find_map(|_| Self::spawn_on(free_port(), options, file, ready));
        started.expect("a redis-server can be started")
    }

    fn spawn_on(port: u16, options: &[&str], file: &str, ready: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("redis.conf"), file).unwrap();
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let child = launch(port, &options, dir.path(), ready)?;
        Some(Self { child, port, options, dir })
    }

    /// Ends the process at once and starts it again on its port, with what it had last
    /// saved.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let ready = "Ready to accept connections";
        self.child = launch(self.port, &self.options, self.dir.path(), ready)
            .expect("the port is still free");
    }

    /// The port on 127.0.0.1.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs one command on a connection of its own.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> RedisResult<T> {
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut query = redis::cmd(command[0]);
        for argument in &command[1..] {
            query.arg(argument);
        }
        query.query_async(&mut connection).await
    }

    /// Runs one command that must succeed.
    pub(crate) async fn run(&self, command: &[&str]) {
        let _: redis::Value = self.ask(command).await.unwrap();
    }

    /// Stops the process where it stands: connections stay open, nothing is answered.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets a frozen process go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Ends the process at once.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn signal(&self, signal: &str) {
        let sent =
            Command::new("kill").arg(signal).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }
}

/// Starts a process in a folder and waits until its log says that it is ready; `None` when it has
/// ended before.
fn launch(port: u16, options: &[String], dir: &Path, ready: &str) -> Option<Child> {
    let log = dir.join("log");
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new("redis-server");
    command
        .arg(dir.join("redis.conf"))
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--logfile"])
        .arg(&log);
    command.args(options).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("redis-server is installed");
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
        if std::fs::read_to_string(&log).is_ok_and(|log| log.contains(ready)) {
            return Some(child);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A primary and a replica, watched by three Sentinels.
pub(crate) struct RedisSentinel {
    /// The primary at the beginning, then the replica.
    pub(crate) servers: [RedisServer; 2],
    sentinels: Vec<RedisServer>,
}

impl RedisSentinel {
    /// The name under which the Sentinels know the primary.
    pub(crate) const MASTER: &'static str = "ledger";

    /// How a gateway reaches the primary through them.
    pub(crate) fn topology(&self) -> Topology {
        Topology::Sentinel {
            urls: self.urls(),
            master: Self::MASTER.to_owned(),
            username: None,
            password: None,
        }
    }

    /// Starts them and waits until every Sentinel knows the replica and the other Sentinels.
    pub(crate) async fn start() -> Self {
        let primary = RedisServer::start().await;
        let of = primary.port().to_string();
        let replica = RedisServer::replica_of(&primary).await;
        let watch = format!(
            "sentinel monitor {name} 127.0.0.1 {of} 2\n\
             sentinel down-after-milliseconds {name} 500\n\
             sentinel failover-timeout {name} 3000\n",
            name = Self::MASTER
        );
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(RedisServer::spawn_as(&["--sentinel"], &watch, "+monitor master"));
        }
        for sentinel in &sentinels {
            wait_until("the Sentinels know each other", || async {
                let info: String = sentinel.ask(&["INFO", "sentinel"]).await.unwrap_or_default();
                info.contains("status=ok") && info.contains("slaves=1,sentinels=3")
            })
            .await;
        }
        Self { servers: [primary, replica], sentinels }
    }

    /// The Sentinels.
    pub(crate) fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// The Sentinels' URLs.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }
}

/// Waits for a condition; fails the test when it does not come about.
pub(crate) async fn wait_until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A port that is free now, below the range from which the system gives out ports for outgoing
/// connections.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 2_048;
    const COUNT: u16 = 8_000;
    // Test processes that run side by side begin in different places.
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap();
    for _ in 0..COUNT {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}
