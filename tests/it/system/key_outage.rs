//! Changes of keys and suspensions while a replica cannot reach Redis: what it knows stays in
//! force, and the changes reach it within two seconds after Redis is back.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{OPS, change, judged, make_key, soon, with_operators};
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisServer, wait_until};

/// The ledger's deadline of the replica that is cut off: as long as what is promised, which must
/// hold all the same.
const DEADLINE: &str = "2s";

/// A replica near the store and one behind a proxy.
struct World {
    near: Gateway,
    far: Gateway,
    installation: Installation,
    proxy: Proxy,
    firemoon: Firemoon,
    _redis: RedisServer,
}

async fn world() -> World {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let proxy = Proxy::start(redis.port()).await;
    let installation = with_operators(Installation::on(&redis, &firemoon));
    let behind = format!("redis://127.0.0.1:{}", proxy.port());
    let through = with_operators(Installation::on(&redis, &firemoon))
        .set("/ledger", json!({ "redis": { "url": behind, "deadline": DEADLINE } }));
    let (near, far) = (Gateway::serve(&installation).await, Gateway::serve(&through).await);
    World { near, far, installation, proxy, firemoon, _redis: redis }
}

impl World {
    fn forbid(&mut self, key: &str) {
        let secret = key.rsplit('_').next().unwrap();
        self.near.forbid(secret);
        self.far.forbid(secret);
    }

    /// A key that both replicas know.
    async fn key(&mut self, wanted: Value) -> (String, String) {
        let (key, id) = make_key(&self.near, wanted).await;
        self.forbid(&key);
        soon(&self.far, &key, "200").await;
        (key, id)
    }

    async fn rotate(&mut self, id: &str, overlap: u64) -> String {
        let path = format!("/admin/v1/keys/{id}/rotate");
        let made = change(&self.near, &path, json!({ "overlap_seconds": overlap })).await;
        let key = made["secret"].as_str().unwrap().to_owned();
        self.forbid(&key);
        key
    }

    async fn lose_the_far_replica_s_store(&self, fault: Fault, key: &str) {
        self.proxy.set(fault);
        wait_until("the far replica has lost its store", || async {
            self.far.send(&picture().with(key)).await.refusal().1 == "ledger_unavailable"
        })
        .await;
    }

    /// A change at the far replica, which has no store, is refused and changes nothing.
    async fn far_changes_nothing(&self, id: &str) {
        let rotate = Call::post(&format!("/admin/v1/keys/{id}/rotate")).with(OPS);
        let refused = rotate.send_uninspected(self.far.operator()).await;
        assert_eq!(refused.refusal(), (503, "ledger_unavailable".to_owned()));
    }
}

async fn every_transition_cut_off_and_back(fault: Fault) {
    let mut world = world().await;
    let made = |name: &str| json!({ "team": "design", "name": name });
    let (revoked, revoked_id) = world.key(made("revoked")).await;
    let (renewed, renewed_id) = world.key(made("renewed")).await;
    let (lapping, lapping_id) = world.key(made("renewed with overlap")).await;
    let ends_at = Timestamp::now() + SignedDuration::from_secs(8);
    let (ended, _) = world
        .key(json!({ "team": "design", "name": "ended", "expires_at": ends_at.to_string() }))
        .await;
    let (kept, _) = world.key(json!({ "team": "growth", "name": "stays" })).await;
    let bob = world.installation.token("bob");
    change(&world.near, "/admin/v1/teams/design/suspend", json!({ "user": "bob" })).await;
    soon(&world.far, &bob, "team_suspended").await;

    world.lose_the_far_replica_s_store(fault, &kept).await;
    change(&world.near, &format!("/admin/v1/keys/{revoked_id}/revoke"), json!({})).await;
    let renewal = world.rotate(&renewed_id, 0).await;
    let lap = world.rotate(&lapping_id, 3600).await;
    let (new, _) = make_key(&world.near, made("new")).await;
    world.forbid(&new);
    change(&world.near, "/admin/v1/teams/growth/suspend", json!({})).await;
    change(&world.near, "/admin/v1/teams/design/resume", json!({ "user": "bob" })).await;
    assert_eq!(judged(&world.near, &revoked).await, "credential_revoked");
    // The replica cannot know, and can spend nothing either. It goes by what it knows: also that a
    // key's time is over.
    assert_eq!(
        world.far.send(&picture().with(&revoked)).await.refusal(),
        (503, "ledger_unavailable".to_owned())
    );
    assert_eq!(judged(&world.far, &new).await, "credential_invalid");
    assert_eq!(judged(&world.far, &bob).await, "team_suspended");
    wait_until("a key has expired", || async {
        judged(&world.far, &ended).await == "credential_expired"
    })
    .await;
    world.far_changes_nothing(&revoked_id).await;
    world.far_changes_nothing(&renewed_id).await;

    world.proxy.set(Fault::None);
    let expected = [
        (&revoked, "credential_revoked"),
        (&renewed, "credential_expired"),
        (&kept, "team_suspended"),
        (&renewal, "200"),
        (&lap, "200"),
        (&new, "200"),
        (&bob, "200"),
    ];
    join_all(
        expected.iter().map(|(credential, judgement)| soon(&world.far, credential, judgement)),
    )
    .await;
    // Each of its workers finds out by itself that the ledger answers again.
    wait_until("the old secret is good until its time is over", || async {
        let judged = judged(&world.far, &lapping).await;
        assert!(["200", "ledger_unavailable"].contains(&judged.as_str()), "{judged}");
        judged == "200"
    })
    .await;
    assert_eq!(judged(&world.near, &ended).await, "credential_expired");
    assert_eq!(world.firemoon.executed().await, 0);
}

/// After Redis returns.
#[tokio::test]
async fn changes_during_a_silence_are_known_in_two_seconds() {
    every_transition_cut_off_and_back(Fault::SwallowAnswers).await;
}

/// After Redis returns.
#[tokio::test]
async fn changes_during_a_cut_are_known_in_two_seconds() {
    every_transition_cut_off_and_back(Fault::CutBeforeAnswer).await;
}

/// The replica judges no key of the registry.
#[tokio::test]
async fn a_replica_that_never_read_the_registry_is_unready() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = with_operators(Installation::on(&redis, &firemoon));
    let near = Gateway::serve(&installation).await;
    let (key, _) = make_key(&near, json!({ "team": "design", "name": "ci" })).await;
    let proxy = Proxy::start(redis.port()).await;
    proxy.set(Fault::SwallowAnswers);
    let behind = format!("redis://127.0.0.1:{}", proxy.port());
    let through = with_operators(Installation::on(&redis, &firemoon))
        .set("/ledger", json!({ "redis": { "url": behind, "deadline": DEADLINE } }));
    let far = Gateway::start(&through).await;
    assert_eq!(
        judged(&far, &key).await,
        "identity_unavailable",
        "it may be good, so it is not refused as invalid"
    );
    assert_eq!(far.readiness().await.0, 503);
    proxy.set(Fault::None);
    wait_until("the gateway is ready", || async { far.readiness().await.0 == 200 }).await;
    assert_eq!(judged(&far, &key).await, "200");
}
