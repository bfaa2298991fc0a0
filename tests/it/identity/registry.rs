//! The key registry beside the configuration: which of the two counts, and how often uses are
//! written.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use jiff::Timestamp;
use moongate::config::read_limits;
use moongate::identity::key_registry::key_entry;
use moongate::identity::record::StoredSecret;
use moongate::identity::settings::KeySettings;
use moongate::identity::store::{Entry, Version};
use moongate::identity::{GatewayKey, KeyRecord, KeyRegistry, RegistrySync, Rejection, Store};
use moongate::ledger::Outage;
use moongate::live::Live;
use moongate::team::{KeyId, TeamId};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::authenticators::{NOW, authenticator, clock, pass, verdict};

/// A store that holds one key and remembers which uses it was given to note.
struct OneKey {
    entry: Entry,
    noted: Mutex<Vec<(KeyId, i64)>>,
}

impl OneKey {
    fn of(key: &GatewayKey) -> Self {
        let now = Timestamp::from_second(NOW).unwrap();
        let record = KeyRecord {
            id: key.id.clone(),
            team: TeamId::parse("growth").unwrap(),
            name: "stored".to_owned(),
            user: None,
            models: None,
            limits: json!({}),
            secrets: vec![StoredSecret { sha256: key.hash, made_at: now, ends_at: None }],
            created_at: now,
            created_by: "ops".to_owned(),
            expires_at: None,
            revoked_at: None,
        };
        Self { entry: (key_entry(&key.id), record.written()), noted: Mutex::default() }
    }
}

impl Store for OneKey {
    fn version(&self) -> BoxFuture<'_, Result<Version, Outage>> {
        ready(Ok(Version(b"1".to_vec()))).boxed()
    }

    fn read(&self) -> BoxFuture<'_, Result<(Version, Vec<Entry>), Outage>> {
        ready(Ok((Version(b"1".to_vec()), vec![self.entry.clone()]))).boxed()
    }

    fn entry<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, Outage>> {
        ready(Ok(Some(self.entry.1.clone()))).boxed()
    }

    fn replace<'a>(
        &'a self,
        _name: &'a str,
        _expected: Option<&'a [u8]>,
        _entry: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, Outage>> {
        ready(Ok(false)).boxed()
    }

    fn note_used<'a>(&'a self, used: &'a [(KeyId, i64)]) -> BoxFuture<'a, Result<(), Outage>> {
        self.noted.lock().unwrap().extend_from_slice(used);
        ready(Ok(())).boxed()
    }

    fn last_used(&self) -> BoxFuture<'_, Result<HashMap<KeyId, i64>, Outage>> {
        ready(Ok(self.noted.lock().unwrap().iter().cloned().collect())).boxed()
    }
}

// Time stands still but for what the test and the registry_sync wait for.
#[tokio::test(start_paused = true)]
async fn a_busy_keys_use_is_recorded_once_a_minute() {
    let (key, clock) = (GatewayKey::generate().unwrap(), clock());
    let store = OneKey::of(&key);
    let authenticator = Live::new(authenticator(vec![], vec![], &clock));
    let registry_sync =
        RegistrySync::new(Live::new(KeyRegistry::default()), authenticator.clone(), read_limits);
    registry_sync.refresh(&store).await.unwrap();
    let stop = CancellationToken::new();
    let ten_minutes_of_use = async {
        for _ in 0..600 {
            for _ in 0..3 {
                assert!(verdict(&authenticator.read(), key.text.expose()).is_ok());
            }
            pass(&clock, 1);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        stop.cancel();
    };
    tokio::join!(registry_sync.keep(&store, stop.clone()), ten_minutes_of_use);
    let noted = store.noted.into_inner().unwrap();
    assert!(noted.iter().all(|(id, _)| *id == key.id));
    let times: Vec<i64> = noted.into_iter().map(|(_, at)| at).collect();
    assert!((9..=10).contains(&times.len()), "{times:?}");
    assert!(times.windows(2).all(|two| two[1] - two[0] >= 60), "{times:?}");
}

/// Where both have one id.
#[tokio::test]
async fn the_configurations_key_wins_over_a_stored_one() {
    let (configured, clock) = (GatewayKey::generate().unwrap(), clock());
    let stored = GatewayKey::for_id(configured.id.clone()).unwrap();
    let store = OneKey::of(&stored);
    let settings = KeySettings {
        id: configured.id.clone(),
        sha256: configured.hash,
        team: TeamId::parse("design").unwrap(),
        name: "configured".to_owned(),
        user: None,
        expires_at: None,
        models: None,
        limits: None,
    };
    let alone = Live::new(authenticator(vec![], vec![], &clock));
    let registry_sync =
        RegistrySync::new(Live::new(KeyRegistry::default()), alone.clone(), read_limits);
    registry_sync.refresh(&store).await.unwrap();
    assert_eq!(
        verdict(&alone.read(), stored.text.expose()),
        Ok(format!("growth/key:{}", configured.id)),
        "alone it is accepted"
    );

    let both = Live::new(authenticator(vec![], vec![settings], &clock));
    let registry_sync =
        RegistrySync::new(Live::new(KeyRegistry::default()), both.clone(), read_limits);
    registry_sync.refresh(&store).await.unwrap();
    assert_eq!(
        verdict(&both.read(), configured.text.expose()),
        Ok(format!("design/key:{}", configured.id))
    );
    assert_eq!(verdict(&both.read(), stored.text.expose()), Err(Rejection::Invalid));
}
