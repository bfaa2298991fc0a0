//! Redis, for all who keep books there.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::outcome::Outcome;
use crate::process::{LOAD_CORE, Process};

/// Starts it at this address.
pub async fn start(address: SocketAddr, folder: &Path) -> Outcome<Process> {
    let port = address.port().to_string();
    let arguments = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--loglevel",
        "warning",
        // nginx-lua connects once for each of its calls in flight.
        "--tcp-backlog",
        "4096",
    ];
    let mut redis = Process::start("redis-server", &arguments, LOAD_CORE, folder)?;
    while TcpStream::connect(address).await.is_err() {
        redis.is_alive()?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(redis)
}

/// Makes a new Redis one that gateways have known for long: to the first gateway on a new one
/// nothing is sure for ten seconds, which is no part of its start.
pub async fn is_in_use(redis: SocketAddr) -> Outcome<()> {
    let mut store =
        redis::Client::open(format!("redis://{redis}"))?.get_multiplexed_async_connection().await?;
    let info: String = redis::cmd("INFO").arg("replication").query_async(&mut store).await?;
    let replication_id = info
        .lines()
        .find_map(|line| line.strip_prefix("master_replid:"))
        .ok_or("a Redis without a reign")?;
    redis::cmd("HSET")
        .arg("mg1:{mg1:teams}:reigns")
        .arg(replication_id)
        .arg(1)
        .exec_async(&mut store)
        .await?;
    redis::cmd("SADD").arg("mg1:teams").arg("*").exec_async(&mut store).await?;
    Ok(())
}
