//! The registry's store: one suite, which both stores must pass.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moongate::clock::Clock;
use moongate::identity::{EmbeddedKeyRegistry, RedisKeyRegistry, Store};
use moongate::ledger::embedded::{self, EmbeddedLedger};
use moongate::ledger::{OnUnknown, Outage, Unobserved};
use moongate::store::{Settings, Topology};
use moongate::team::KeyId;
use tempfile::TempDir;

use crate::ledger::conformance::RETENTION;
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisCluster, RedisServer, wait_until};
use crate::support::stored::Reached as _;

/// How long the ledger may wait.
const DEADLINE: Duration = Duration::from_secs(20);

/// A store, and what it lives in.
struct Bench {
    stores: [Arc<dyn Store>; 2],
    _world: World,
}

enum World {
    Redis { _server: RedisServer },
    Cluster { _cluster: RedisCluster },
    File { _folder: TempDir },
}

/// Runs a test on two handles of each store: one Redis, a cluster, a file.
async fn on_every_store<F: Future<Output = ()>>(test: impl Fn([Arc<dyn Store>; 2]) -> F) {
    for bench in [of_redis().await, of_cluster().await, of_file()] {
        test(bench.stores.clone()).await;
    }
}

fn handle(topology: Topology) -> Arc<dyn Store> {
    let settings = Settings::new(topology).within(DEADLINE);
    Arc::new(RedisKeyRegistry::new(settings, Clock::system(), Arc::new(Unobserved)).unwrap())
}

async fn of_redis() -> Bench {
    let server = RedisServer::start().await;
    let stores = [(); 2].map(|()| handle(Topology::Single { url: server.url() }));
    Bench { stores, _world: World::Redis { _server: server } }
}

async fn of_cluster() -> Bench {
    let cluster = RedisCluster::start().await;
    let stores = [(); 2].map(|()| handle(Topology::Cluster { urls: cluster.urls() }));
    Bench { stores, _world: World::Cluster { _cluster: cluster } }
}

fn of_file() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let settings = embedded::Settings {
        path: folder.path().join("ledger.db"),
        reservation_ttl: Duration::from_secs(30),
        retention: RETENTION,
        on_unknown: OnUnknown::Charge,
        clock: Clock::system(),
    };
    let registry =
        EmbeddedKeyRegistry::new(EmbeddedLedger::open(settings, Arc::new(Unobserved)).unwrap());
    let stores: [Arc<dyn Store>; 2] = [Arc::new(registry.clone()), Arc::new(registry)];
    Bench { stores, _world: World::File { _folder: folder } }
}

fn id(number: usize) -> KeyId {
    KeyId::parse(&format!("key{number:09}")).unwrap()
}

#[tokio::test]
async fn what_one_handle_writes_the_other_reads_with_another_version() {
    on_every_store(|[one, other]| async move {
        let (before, nothing) = other.read().await.unwrap();
        assert_eq!((nothing, other.version().await.unwrap()), (vec![], before.clone()));
        assert!(one.replace("key:a", None, b"{\"\xc3\xa9\":1}").await.unwrap());
        assert!(one.replace("team:b", None, b"x").await.unwrap());
        let after = other.version().await.unwrap();
        assert_ne!(after, before);
        let (version, mut entries) = other.read().await.unwrap();
        entries.sort();
        let written = [("key:a", &b"{\"\xc3\xa9\":1}"[..]), ("team:b", b"x")];
        assert_eq!(entries, written.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())));
        assert_eq!(version, after);
        assert_eq!(other.entry("team:b").await.unwrap(), Some(b"x".to_vec()));
        assert_eq!(other.entry("team:c").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_entry_replaces_only_the_expected_one() {
    on_every_store(|[one, other]| async move {
        assert!(!one.replace("key:a", Some(b"x"), b"y").await.unwrap(), "nothing is there");
        assert!(one.replace("key:a", None, b"1").await.unwrap());
        assert!(!other.replace("key:a", None, b"2").await.unwrap(), "something is there");
        assert!(!other.replace("key:a", Some(b"0"), b"2").await.unwrap());
        assert_eq!(one.entry("key:a").await.unwrap(), Some(b"1".to_vec()));
        assert!(other.replace("key:a", Some(b"1"), b"2").await.unwrap());
        // The answer to that was lost: asking again is safe.
        assert!(other.replace("key:a", Some(b"1"), b"2").await.unwrap());
        assert_eq!(one.entry("key:a").await.unwrap(), Some(b"2".to_vec()));
    })
    .await;
}

#[tokio::test]
async fn of_simultaneous_changes_to_one_entry_exactly_one_wins() {
    on_every_store(|stores| async move {
        assert!(stores[0].replace("key:a", None, b"0").await.unwrap());
        let tries = (0..32).map(|number| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move {
                let entry = format!("by {number}");
                store.replace("key:a", Some(b"0"), entry.as_bytes()).await.unwrap()
            })
        });
        let mut first = 0;
        for tried in tries.collect::<Vec<_>>() {
            first += usize::from(tried.await.unwrap());
        }
        assert_eq!(first, 1);
    })
    .await;
}

#[tokio::test]
async fn a_thousand_entries_are_read_at_once() {
    on_every_store(|[one, other]| async move {
        for number in 0..1000 {
            assert!(one.replace(&format!("key:{}", id(number)), None, &[b'x'; 400]).await.unwrap());
        }
        let (_, entries) = other.read().await.unwrap();
        assert_eq!(entries.len(), 1000);
        assert!(entries.iter().all(|(_, entry)| entry.len() == 400));
    })
    .await;
}

#[tokio::test]
async fn uses_are_noted_go_only_forward_and_change_no_version() {
    on_every_store(|[one, other]| async move {
        let version = one.version().await.unwrap();
        let uses: Vec<(KeyId, i64)> = (0..1200).map(|number| (id(number), 1_900_000_000)).collect();
        one.note_used(&uses).await.unwrap();
        other.note_used(&[(id(1), 1_900_000_060), (id(2), 1_800_000_000)]).await.unwrap();
        one.note_used(&[]).await.unwrap();
        let noted = one.last_used().await.unwrap();
        assert_eq!(noted.len(), 1200);
        assert_eq!(
            [1, 2, 3].map(|number| noted[&id(number)]),
            [1_900_000_060, 1_900_000_000, 1_900_000_000]
        );
        assert_eq!(other.version().await.unwrap(), version);
    })
    .await;
}

#[tokio::test]
async fn what_is_kept_in_a_file_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let settings = embedded::Settings {
            path: folder.path().join("ledger.db"),
            reservation_ttl: Duration::from_secs(30),
            retention: RETENTION,
            on_unknown: OnUnknown::Charge,
            clock: Clock::system(),
        };
        EmbeddedKeyRegistry::new(EmbeddedLedger::open(settings, Arc::new(Unobserved)).unwrap())
    };
    let registry = open();
    assert!(registry.replace("key:a", None, b"1").await.unwrap());
    registry.note_used(&[(id(1), 5)]).await.unwrap();
    drop(registry);
    let registry = open();
    assert_eq!(registry.entry("key:a").await.unwrap(), Some(b"1".to_vec()));
    assert_eq!(registry.last_used().await.unwrap()[&id(1)], 5);
}

#[tokio::test]
async fn a_store_that_lost_everything_has_another_version() {
    let server = RedisServer::start().await;
    let store = handle(Topology::Single { url: server.url() });
    assert!(store.replace("key:a", None, b"1").await.unwrap());
    let before = store.version().await.unwrap();
    server.run(&["FLUSHALL"]).await;
    server.run(&["SCRIPT", "FLUSH"]).await;
    assert_ne!(store.version().await.unwrap(), before);
    assert!(store.replace("key:b", None, b"1").await.unwrap());
    assert_ne!(store.version().await.unwrap(), before);
    assert_eq!(store.read().await.unwrap().1.len(), 1);
}

#[tokio::test]
async fn reading_a_silent_store_waits_less_than_the_ledger_may() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = handle(Topology::Single { url: format!("redis://127.0.0.1:{}", proxy.port()) });
    let uses = [(id(1), 5)];
    for step in ["version", "read", "note_used"] {
        proxy.set(Fault::None);
        wait_until("the store answers", || async { store.version().await.is_ok() }).await;
        proxy.set(Fault::SwallowAnswers);
        let started = Instant::now();
        let result = match step {
            "version" => store.version().await.map(drop),
            "read" => store.read().await.map(drop),
            _ => store.note_used(&uses).await,
        };
        assert!(matches!(result, Err(Outage::TimedOut)), "{step}: {result:?}");
        assert!(started.elapsed() < DEADLINE / 2, "{step}: {:?}", started.elapsed());
    }
}
