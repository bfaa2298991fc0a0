//! A gateway key's whole life, on two replicas with one Redis: made, used, narrowed, rotated,
//! expired, revoked; and access that is taken and given back while everything runs.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use moongate::clock::Clock;
use moongate::identity::key_registry::key_entry;
use moongate::identity::record::StoredSecret;
use moongate::identity::{GatewayKey, KeyRecord, RedisKeyRegistry, Store};
use moongate::store::{Settings, Topology, Unobserved};
use moongate::team::{KeyId, TeamId};
use serde_json::{Value, json};

use crate::support::caller::generate;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{change, judged, make_key, me, see, soon, with_operators};
use crate::support::redis::{RedisServer, wait_until};
use crate::support::stored::Reached as _;

fn record(key: &GatewayKey, name: &str) -> KeyRecord {
    let now = Timestamp::now();
    KeyRecord {
        id: key.id.clone(),
        team: TeamId::parse("design").unwrap(),
        name: name.to_owned(),
        user: None,
        models: None,
        limits: json!({ "requests_per_day": 1000 }),
        secrets: vec![StoredSecret { sha256: key.hash, made_at: now, ends_at: None }],
        created_at: now,
        created_by: "ops".to_owned(),
        expires_at: None,
        revoked_at: None,
    }
}

struct World {
    redis: RedisServer,
    firemoon: Firemoon,
    installation: Installation,
    one: Gateway,
    other: Gateway,
}

async fn world() -> World {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = with_operators(Installation::on(&redis, &firemoon));
    let (one, other) = (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    World { redis, firemoon, installation, one, other }
}

fn secret_of(key: &str) -> &str {
    key.rsplit('_').next().unwrap()
}

impl World {
    /// Makes a key on one replica, and forbids its secret in everything that both say.
    async fn key(&mut self, wanted: Value) -> (String, String) {
        let (key, id) = make_key(&self.one, wanted).await;
        self.forbid(&key);
        (key, id)
    }

    async fn rotate(&mut self, id: &str, overlap: u64) -> String {
        self.rotate_as(id, json!({ "overlap_seconds": overlap })).await
    }

    async fn rotate_as(&mut self, id: &str, wanted: Value) -> String {
        let made = change(&self.one, &format!("/admin/v1/keys/{id}/rotate"), wanted).await;
        let key = made["secret"].as_str().unwrap().to_owned();
        self.forbid(&key);
        assert_eq!(made["key"]["id"], id);
        key
    }

    fn forbid(&mut self, key: &str) {
        self.one.forbid(secret_of(key));
        self.other.forbid(secret_of(key));
    }

    async fn both(&self, credential: &str) -> [String; 2] {
        [judged(&self.one, credential).await, judged(&self.other, credential).await]
    }
}

#[tokio::test]
async fn a_keys_models_and_limits_hold_on_every_replica() {
    let mut world = world().await;
    let wanted = json!({
        "team": "design", "name": "ci", "user": "render-farm", "models": ["flux/*"],
        "limits": { "requests_per_day": 2, "credits_per_day": { "limit": "1.5" } },
    });
    let (key, id) = world.key(wanted).await;
    assert_eq!(judged(&world.one, &key).await, "200", "its maker can use it at once");
    soon(&world.other, &key, "200").await;
    let seen = me(&world.other, &key).await.json();
    assert_eq!((&seen["team"], &seen["user"]), (&json!("design"), &json!("render-farm")));
    assert_eq!(seen["credential"], json!({ "kind": "key", "id": id, "name": "ci" }));
    let limits: Vec<&str> =
        seen["limits"].as_array().unwrap().iter().filter_map(|one| one["limit"].as_str()).collect();
    assert!(
        limits.contains(&"key:requests_per_day") && limits.contains(&"key:credits_per_day"),
        "{limits:?}"
    );

    let body = json!({ "prompt": "x", "duration": "5" });
    let other_model = world.other.send(&generate("kling/kling-2-1-master", &body).with(&key)).await;
    assert_eq!(other_model.refusal(), (403, "model_not_allowed".to_owned()));
    assert_eq!(world.one.send(&picture().with(&key)).await.status, 200);
    assert_eq!(world.other.send(&picture().with(&key)).await.status, 200);
    let third = world.one.send(&picture().with(&key)).await;
    assert_eq!(third.refusal(), (429, "quota_exhausted".to_owned()));
    assert_eq!(
        third.json()["errors"],
        json!(["key:requests_per_day allows 2: 2 used, 0 reserved"])
    );

    // A new secret is no new budget, and the team's other key is untouched.
    let renewed = world.rotate(&id, 0).await;
    soon(&world.other, &renewed, "200").await;
    assert_eq!(
        world.other.send(&picture().with(&renewed)).await.refusal(),
        (429, "quota_exhausted".to_owned())
    );
    assert_eq!(
        world.other.send(&picture().with(world.installation.key("design"))).await.status,
        200
    );
    assert_eq!(world.firemoon.executed().await, 3);
}

/// A rotation without overlap ends the old secret.
#[tokio::test]
async fn a_rotation_with_overlap_fails_no_request() {
    let mut world = world().await;
    let (first, id) = world.key(json!({ "team": "design", "name": "ci" })).await;
    soon(&world.other, &first, "200").await;
    let second = world.rotate(&id, 3600).await;
    assert_eq!(judged(&world.one, &second).await, "200");
    // Until the other replica knows the new secret, and ever after, the old one is good there.
    for _ in 0..20 {
        assert_eq!(world.both(&first).await, ["200", "200"]);
    }
    soon(&world.other, &second, "200").await;
    assert_eq!(world.both(&first).await, ["200", "200"]);

    // Another rotation keeps what was promised of the first, and says until when.
    let other = world.rotate(&id, 7200).await;
    soon(&world.other, &other, "200").await;
    for good in [&first, &second, &other] {
        assert_eq!(world.both(good).await, ["200", "200"], "promised for an hour or two");
    }
    let shown = see(&world.other, &format!("/admin/v1/keys/{id}")).await;
    let states: Vec<&str> = shown["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["state"].as_str())
        .collect();
    assert_eq!(states, ["current", "overlap", "overlap"]);
    let end = |place: usize| {
        shown["secrets"][place]["ends_at"].as_str().unwrap().parse::<Timestamp>().unwrap()
    };
    assert!(
        end(2) + SignedDuration::from_secs(3000) < end(1),
        "the first still ends an hour after the first rotation"
    );

    let third = world.rotate_as(&id, json!({ "overlap_seconds": 0, "end_older": true })).await;
    for old in [&first, &second, &other] {
        assert_eq!(judged(&world.one, old).await, "credential_expired");
        soon(&world.other, old, "credential_expired").await;
    }
    assert_eq!(world.both(&third).await, ["200", "200"]);
    let shown = see(&world.other, &format!("/admin/v1/keys/{id}")).await;
    let ends: Vec<bool> =
        shown["secrets"].as_array().unwrap().iter().map(|one| one["ends_at"].is_null()).collect();
    assert_eq!(ends, [true, false, false, false]);
    assert_eq!((&shown["state"], &shown["created_by"]), (&json!("active"), &json!("ops")));
}

/// The key is refused for good.
#[tokio::test]
async fn a_revoked_key_is_refused_everywhere_within_two_seconds() {
    let mut world = world().await;
    let (key, id) = world.key(json!({ "team": "design", "name": "laptop" })).await;
    let (stranger, _) = world.key(json!({ "team": "growth", "name": "other" })).await;
    for credential in [&key, &stranger] {
        soon(&world.other, credential, "200").await;
    }
    let answer = change(&world.other, &format!("/admin/v1/keys/{id}/revoke"), json!({})).await;
    assert_eq!(answer["state"], "revoked");
    assert_eq!(judged(&world.other, &key).await, "credential_revoked");
    soon(&world.one, &key, "credential_revoked").await;
    assert_eq!(
        world.one.send(&picture().with(&key)).await.refusal(),
        (401, "credential_revoked".to_owned())
    );
    // A caller without the secret does not learn that the key is revoked.
    let guess = GatewayKey::for_id(KeyId::parse(&id).unwrap()).unwrap();
    assert_eq!(world.both(guess.text.expose()).await, ["credential_invalid", "credential_invalid"]);
    assert_eq!(world.both(&stranger).await, ["200", "200"]);

    let again = change(&world.one, &format!("/admin/v1/keys/{id}/revoke"), json!({})).await;
    assert_eq!(again["revoked_at"], answer["revoked_at"], "twice is once");
    let third = Gateway::serve(&world.installation).await;
    assert_eq!(
        judged(&third, &key).await,
        "credential_revoked",
        "a replica that starts later knows it"
    );
}

#[tokio::test]
async fn a_key_expires_by_itself_and_its_uses_are_seen() {
    let mut world = world().await;
    let soon_over = Timestamp::now() + SignedDuration::from_secs(10);
    let wanted = json!({ "team": "design", "name": "short", "expires_at": soon_over.to_string() });
    let (key, id) = world.key(wanted).await;
    assert_eq!(judged(&world.one, &key).await, "200");
    wait_until("the key has expired", || async {
        judged(&world.one, &key).await == "credential_expired"
            && judged(&world.other, &key).await == "credential_expired"
    })
    .await;
    assert!(Timestamp::now() >= soon_over);
    wait_until("its use is seen on the other replica", || async {
        !see(&world.other, &format!("/admin/v1/keys/{id}")).await["last_used_at"].is_null()
    })
    .await;
    assert_eq!(see(&world.one, &format!("/admin/v1/keys/{id}")).await["state"], "expired");
}

#[tokio::test]
async fn suspending_and_resuming_reach_every_replica_within_two_seconds() {
    let world = world().await;
    let (key, ann, bob) = (
        world.installation.key("design"),
        world.installation.token("ann"),
        world.installation.token("bob"),
    );
    change(&world.one, "/admin/v1/teams/design/suspend", json!({ "user": "bob" })).await;
    soon(&world.other, &bob, "team_suspended").await;
    assert_eq!(world.both(&ann).await, ["200", "200"]);

    let answer = change(&world.one, "/admin/v1/teams/design/suspend", json!({})).await;
    assert_eq!(answer["suspension"]["suspended"], true);
    for credential in [key, &ann] {
        assert_eq!(judged(&world.one, credential).await, "team_suspended");
        soon(&world.other, credential, "team_suspended").await;
    }
    assert_eq!(
        world.other.send(&picture().with(key)).await.refusal(),
        (403, "team_suspended".to_owned())
    );
    assert_eq!(world.both(world.installation.key("growth")).await, ["200", "200"]);

    change(&world.other, "/admin/v1/teams/design/resume", json!({})).await;
    soon(&world.one, key, "200").await;
    assert_eq!(
        world.both(&bob).await,
        ["team_suspended", "team_suspended"],
        "the user's own suspension stays"
    );
    change(&world.other, "/admin/v1/teams/design/resume", json!({ "user": "bob" })).await;
    soon(&world.one, &bob, "200").await;

    // What the configuration suspends, nobody resumes.
    let answer = change(&world.one, "/admin/v1/teams/closed/resume", json!({})).await;
    assert_eq!(
        (&answer["suspension"]["suspended"], &answer["suspension"]["by_configuration"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(judged(&world.one, world.installation.key("closed")).await, "team_suspended");
}

#[tokio::test]
async fn a_key_outlives_its_teams_place_in_the_configuration() {
    let mut world = world().await;
    let before = std::fs::read_to_string(world.installation.path()).unwrap();
    let teams = json!({
        "design": { "models": ["*"] },
        "growth": { "models": ["*"] },
        "closed": { "models": ["*"] },
        "guests": { "models": ["*"] },
    });
    world.installation.change("/teams", teams);
    wait_until("the new team is known", || async {
        see(&world.one, "/admin/v1/teams").await["teams"].as_array().unwrap().len() == 4
    })
    .await;
    let (key, id) = world.key(json!({ "team": "guests", "name": "visitor" })).await;
    soon(&world.other, &key, "200").await;
    world.installation.replace(&before);
    for gateway in [&world.one, &world.other] {
        wait_until("the team is gone", || async { judged(gateway, &key).await == "team_unknown" })
            .await;
    }
    assert_eq!(see(&world.one, &format!("/admin/v1/keys/{id}")).await["state"], "team_unknown");
}

#[tokio::test]
async fn a_thousand_keys_are_known_to_a_replica_that_starts() {
    let world = world().await;
    let topology = Topology::Single { url: world.redis.url() };
    let settings = Settings::new(topology).within(Duration::from_secs(20));
    let store = RedisKeyRegistry::new(settings, Clock::system(), Arc::new(Unobserved)).unwrap();
    let mut made = Vec::new();
    for number in 0..1000 {
        let key = GatewayKey::generate().unwrap();
        let record = record(&key, &format!("key {number}"));
        assert!(store.replace(&key_entry(&key.id), None, &record.written()).await.unwrap());
        made.push((key.text.expose().to_owned(), key.id.as_str().to_owned()));
    }
    let third = Gateway::serve(&world.installation).await;
    for (key, _) in made.iter().step_by(97) {
        assert_eq!(judged(&third, key).await, "200");
    }
    let listed = see(&third, "/admin/v1/keys?team=design").await;
    assert_eq!(
        listed["keys"].as_array().unwrap().len(),
        1001,
        "the configuration's key stands beside them"
    );
    let (key, id) = &made[500];
    change(&third, &format!("/admin/v1/keys/{id}/revoke"), json!({})).await;
    soon(&world.one, key, "credential_revoked").await;
    soon(&world.other, key, "credential_revoked").await;
}
