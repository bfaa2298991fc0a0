//! What only the store in Redis can get wrong: keys that stay for ever, counts that drift, a server
//! that forgets or is silent.

use std::sync::Arc;
use std::time::Duration;

use moongate::clock::Clock;
use moongate::idempotency::{self, Begun, RedisReplays, Store};
use moongate::ledger::{Outage, Unobserved};
use moongate::store::{Settings, Topology};

use super::claims::{Handles, TTL, claim, finished, id_of, kept, of, request, settings, team};
use crate::support::redis::{RedisCluster, RedisServer, wait_until};
use crate::support::stored::{Reached as _, by_gateways};

/// A server of its own for each case.
pub(super) struct RedisBench {
    server: RedisServer,
}

fn handle(topology: Topology, keeping: idempotency::Settings) -> RedisReplays {
    // Cases run many at once; how fast the store is, is not what they test.
    let settings = Settings::new(topology).within(Duration::from_secs(10));
    RedisReplays::new(settings, keeping, Clock::system(), Arc::new(Unobserved)).unwrap()
}

impl RedisBench {
    pub(super) async fn start() -> Self {
        Self { server: RedisServer::brand_new() }
    }

    pub(super) fn handles(&self) -> Handles {
        [Arc::new(self.handle(settings())), Arc::new(self.handle(settings()))]
    }

    fn handle(&self, keeping: idempotency::Settings) -> RedisReplays {
        handle(Topology::Single { url: self.server.url() }, keeping)
    }

    /// Every key has an end; every one is the team's; what is counted is what is there.
    pub(super) async fn assert_that_everything_expires(&self) {
        let keys: Vec<String> = self.server.ask(&["KEYS", "*"]).await.unwrap();
        assert!(!keys.is_empty());
        for key in &keys {
            assert!(
                key.starts_with("mg1:{design}:replay:") || key.starts_with("mg1:{growth}:replay:"),
                "{key}"
            );
            let left: i64 = self.server.ask(&["PTTL", key]).await.unwrap();
            assert!(left > 0, "{key} lives for ever");
        }
        for team in ["design", "growth"] {
            let own = |what: &str| format!("mg1:{{{team}}}:replay:{what}");
            let mut bytes = 0_u64;
            for key in keys
                .iter()
                .filter(|key| key.starts_with(&own("key:")) || key.starts_with(&own("call:")))
            {
                bytes += self.server.ask::<u64>(&["HSTRLEN", key, "body"]).await.unwrap();
            }
            let counted: Option<u64> = self.server.ask(&["GET", &own("bytes")]).await.unwrap();
            assert_eq!(counted.unwrap_or(0), bytes, "{team}");
        }
    }
}

#[tokio::test]
async fn bodies_that_have_expired_are_not_counted_any_more() {
    let bench = RedisBench::start().await;
    let short =
        bench.handle(idempotency::Settings { retention: Duration::from_millis(40), ..settings() });
    short.keep(&team("design"), &kept("r-1", "0123456789")).await.unwrap();
    let long = bench.handle(settings());
    // The second answer keeps the count itself alive beyond the end of the first.
    long.keep(&team("design"), &kept("r-2", "01234")).await.unwrap();
    wait_until("the first is forgotten", || async {
        long.fetch(&team("design"), id_of("r-1")).await.unwrap().is_none()
    })
    .await;
    short.keep(&team("design"), &kept("r-3", "x")).await.unwrap();
    let counted: u64 = bench.server.ask(&["GET", "mg1:{design}:replay:bytes"]).await.unwrap();
    let bodies: u64 = bench.server.ask(&["ZCARD", "mg1:{design}:replay:bodies"]).await.unwrap();
    assert_eq!((counted, bodies), (6, 2));
}

/// The outcome counts as missing a while after its reservation has ended.
#[tokio::test]
async fn a_call_is_lost_if_its_outcome_stays_missing() {
    let bench = RedisBench::start().await;
    let store = bench.handle(settings());
    let (first, second) = (claim("k", "{}", "r-1"), claim("k", "{}", "r-2"));
    let (key, id) = (format!("mg1:{{design}}:replay:key:{}", first.key), first.id);
    let hold = async || by_gateways::hold(&bench.server, "design", id).await;
    let joined = async || store.begin(&second, TTL).await.unwrap();
    let since = async |millis_ago: i64| {
        let (seconds, _): (i64, i64) = bench.server.ask(&["TIME"]).await.unwrap();
        bench.server.run(&["HSET", &key, "over", &(seconds * 1000 - millis_ago).to_string()]).await;
    };
    assert_eq!(store.begin(&first, TTL).await.unwrap(), Begun::First);
    since(3_600_000).await;
    assert_eq!(joined().await, Begun::Running, "it was not sent");
    assert!(store.sent(&first, TTL).await.unwrap());
    hold().await;
    assert_eq!(joined().await, Begun::Running);
    for way in 0..by_gateways::WAYS_TO_END {
        hold().await;
        since(3_600_000).await;
        assert_eq!(joined().await, Begun::Running, "what had ended before is restored");
        by_gateways::end(&bench.server, "design", id, way).await;
        assert_eq!(
            joined().await,
            Begun::Running,
            "it has just ended, and its owner is about to store the answer"
        );
        since(10_001).await;
        assert_eq!((joined().await, joined().await), (Begun::Lost, Begun::Lost));
    }
    store.finish(&first, &of(&first, "{}")).await.unwrap();
    assert_eq!(joined().await, finished(of(&first, "{}")), "its owner was only slow");
}

#[tokio::test]
async fn a_server_that_forgot_the_script_is_told_again() {
    let bench = RedisBench::start().await;
    let store = bench.handle(settings());
    let first = claim("k", "{}", "r-1");
    assert_eq!(store.begin(&first, TTL).await.unwrap(), Begun::First);
    bench.server.run(&["SCRIPT", "FLUSH"]).await;
    store.finish(&first, &of(&first, "{}")).await.unwrap();
    assert_eq!(store.begin(&first, TTL).await.unwrap(), finished(of(&first, "{}")));
}

#[tokio::test]
async fn a_lost_connection_is_an_outage_and_is_made_again() {
    let mut bench = RedisBench::start().await;
    let store = bench.handle(settings());
    let first = claim("k", "{}", "r-1");
    assert_eq!(store.begin(&first, TTL).await.unwrap(), Begun::First);
    bench.server.run(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    wait_until("it connects again", || async { store.begin(&first, TTL).await.is_ok() }).await;
    bench.server.kill();
    assert!(matches!(
        store.begin(&first, TTL).await,
        Err(Outage::Unreachable(_) | Outage::TimedOut)
    ));
}

#[tokio::test]
async fn unreadable_data_is_an_outage_and_never_a_second_call() {
    let bench = RedisBench::start().await;
    let store = bench.handle(settings());
    let first = claim("k", "{}", "r-1");
    store.begin(&first, TTL).await.unwrap();
    store.finish(&first, &of(&first, "{}")).await.unwrap();
    let key = format!("mg1:{{design}}:replay:key:{}", first.key);
    bench.server.run(&["HSET", &key, "head", "{}"]).await;
    assert!(matches!(store.begin(&first, TTL).await, Err(Outage::Refused(_))));
}

/// What the version before wrote: places of its own for requests, which end with their time, and
/// heads without a call.
#[tokio::test]
async fn an_answer_stored_before_calls_had_ids_is_still_replayed() {
    let bench = RedisBench::start().await;
    let store = bench.handle(settings());
    let again = claim("k", "{}", "r-2");
    let place = format!("mg1:{{design}}:replay:key:{}", again.key);
    let head = r#"{
        "request_id": "r-1", "status": 200, "headers": [["content-type", "application/json"]],
        "cost": 0.025, "empty": false
    }"#;
    let print = again.fingerprint.to_string();
    let fields = ["HSET", &place, "claim", "0193", "print", &print, "head", head, "body", "{}"];
    bench.server.run(&fields).await;
    bench.server.run(&["PEXPIRE", &place, "60000"]).await;
    let Begun::Finished(found) = store.begin(&again, TTL).await.unwrap() else {
        panic!("it was made")
    };
    assert_eq!(
        (found.call.as_ref(), found.request_id.as_str(), found.body.as_deref()),
        (None, "r-1", Some(&b"{}"[..]))
    );
    assert_eq!(
        store.list(&team("design"), Some(&request("r-1"))).await.unwrap(),
        [],
        "it has no id by which to find it"
    );
}

#[tokio::test]
async fn a_cluster_serves_it_as_one_server_does() {
    let cluster = RedisCluster::start().await;
    let store = handle(Topology::Cluster { urls: cluster.urls() }, settings());
    for name in ["design", "growth", "closed"] {
        let first = idempotency::Claim { team: team(name), ..claim("k", "{}", "r-1") };
        assert_eq!(store.begin(&first, TTL).await.unwrap(), Begun::First);
        store.finish(&first, &of(&first, "{}")).await.unwrap();
        assert_eq!(store.begin(&first, TTL).await.unwrap(), finished(of(&first, "{}")));
        store.keep(&team(name), &kept("r-1", "{}")).await.unwrap();
        let listed = store.list(&team(name), Some(&request("r-1"))).await.unwrap();
        assert_eq!((listed.len(), store.list(&team(name), None).await.unwrap()), (2, listed));
        assert_eq!(store.fetch(&team(name), first.id).await.unwrap(), Some(of(&first, "{}")));
    }
}
