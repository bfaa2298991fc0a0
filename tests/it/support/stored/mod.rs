//! The ledger in Redis as gateways use it, and what it stores there: tests that look into the
//! store, or break something in it, name the record and not its key.

pub(crate) mod kept;
mod reached;

use std::sync::Arc;

use moongate::clock::Clock;
use moongate::ledger::redis::{RedisLedger, Settings};
use moongate::ledger::{Ledger, Observed, Observer, Unobserved};

/// What gateways keep, and under which key.
pub(crate) use self::kept as by_gateways;
pub(crate) use self::reached::Reached;
use super::redis::RedisServer;

/// A handle on the ledger that gateways use.
pub(crate) fn ledger(settings: Settings) -> Arc<dyn Ledger> {
    observed_ledger(settings, Arc::new(Unobserved))
}

/// The same, with an observer.
pub(crate) fn observed_ledger(settings: Settings, observer: Arc<dyn Observer>) -> Arc<dyn Ledger> {
    let ledger = RedisLedger::new(settings, Clock::system(), Arc::clone(&observer)).unwrap();
    Arc::new(Observed::new(ledger, observer))
}

/// All that is in a server at some moment at which nothing goes on.
pub(crate) struct Copy(Vec<Entry>);

/// A key, how many milliseconds it has left (0: it has no end), and what is under it.
type Entry = (Vec<u8>, i64, Vec<u8>);

impl Copy {
    /// Takes a copy.
    pub(crate) async fn of(server: &RedisServer) -> Self {
        let mut connection = connection(server).await;
        let keys: Vec<Vec<u8>> =
            redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
        let mut entries = Vec::new();
        for key in keys {
            let query = redis::pipe().cmd("PTTL").arg(&key).cmd("DUMP").arg(&key).to_owned();
            let (left, value): (i64, Vec<u8>) = query.query_async(&mut connection).await.unwrap();
            entries.push((key, left.max(0), value));
        }
        Self(entries)
    }

    /// The server has this and nothing else, as when an older copy of it is loaded.
    pub(crate) async fn load_into(&self, server: &RedisServer) {
        let mut load = redis::pipe();
        load.atomic().cmd("FLUSHALL");
        for (key, left, value) in &self.0 {
            load.cmd("RESTORE").arg(key).arg(*left).arg(value);
        }
        load.exec_async(&mut connection(server).await).await.unwrap();
    }
}

async fn connection(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}
