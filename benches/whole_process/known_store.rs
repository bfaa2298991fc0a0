//! A Redis that looks as if gateways had used it for long.

use std::net::SocketAddr;

use crate::outcome::Outcome;

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
