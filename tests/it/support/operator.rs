//! An operator of a gateway: tokens of both roles, calls to the API, and what must be seen soon.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moongate::admin::api::Parts;
use moongate::admin::{Api, Shown};
use moongate::clock::Clock;
use moongate::config::read_limits;
use moongate::identity::{EmbeddedKeyRegistry, KeyRegistry, RegistrySync, SecretHash};
use moongate::ledger::embedded::{self, EmbeddedLedger};
use moongate::ledger::{OnUnknown, Unobserved};
use moongate::live::Live;
use moongate::permits::Allowance;
use moongate::refused::MemoryRefused;
use moongate::telemetry::AuditLog;
use moongate::upstream::settings::Protocol;
use moongate::upstream::{self, Upstream, queue};
use serde_json::{Value, json};

use super::authenticators::authenticator;
use super::caller::{Call, Reply};
use super::gateway::Gateway;
use super::installation::Installation;
use super::redis::PATIENCE;
use crate::ledger::conformance::RETENTION;

/// May change.
pub const OPS: &str = "ops-token-5b1f0c7de2a94386";
/// May only look.
pub const WATCH: &str = "watch-token-90d4e8c3b7a15f62";

/// How long the gateway promises that a change takes to reach every replica.
pub const PROMISED: Duration = Duration::from_secs(2);

/// The installation with operators `ops` and `watch`. Their hashes are in files, as in Kubernetes.
pub fn with_operators(installation: Installation) -> Installation {
    for (name, token) in [("ops", OPS), ("watch", WATCH)] {
        let hash = SecretHash::of(token).to_hex();
        std::fs::write(installation.folder().join(format!("{name}.sha256")), format!("{hash}\n"))
            .unwrap();
    }
    let tokens = json!([
        { "name": "ops", "sha256": { "file": "ops.sha256" } },
        { "name": "watch", "sha256": { "file": "watch.sha256" }, "role": "read" },
    ]);
    let address = json!({ "address": "127.0.0.1:0", "tokens": tokens });
    installation.set("/admin", address)
}

/// An API of a gateway without teams, which keeps what it must in this folder.
pub fn api(shown: Live<Shown>, folder: &Path) -> Api {
    let clock = Clock::system();
    let ledger = embedded::Settings {
        path: folder.join("ledger.db"),
        reservation_ttl: Duration::from_secs(30),
        retention: RETENTION,
        on_unknown: OnUnknown::Charge,
        clock: clock.clone(),
    };
    let ledger = EmbeddedLedger::open(ledger, Arc::new(Unobserved)).unwrap();
    let upstream = upstream::Settings {
        base_url: "http://127.0.0.1:1/api".parse().unwrap(),
        keys: Vec::new(),
        protocol: Protocol::Auto,
        ca_file: None,
        connect_timeout: Duration::from_secs(1),
        answer_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
        answer_bytes_max: 1,
        limits: Allowance::default(),
        queue: queue::Settings { max_wait: Duration::ZERO, length_max: 0, team_length_max: 0 },
        reconcile: None,
        breaker: None,
    };
    let authenticator = Live::new(authenticator(Vec::new(), Vec::new(), &clock));
    Api::new(Parts {
        shown,
        audit_log: AuditLog::off(),
        registry_sync: Arc::new(RegistrySync::new(
            Live::new(KeyRegistry::default()),
            authenticator,
            read_limits,
        )),
        store: Arc::new(EmbeddedKeyRegistry::new(ledger.clone())),
        ledger: Arc::new(ledger.clone()),
        permits: Arc::new(ledger),
        teams: Live::new(HashMap::new()),
        upstream: Live::new(Upstream::new(upstream, None).unwrap()),
        refused: Arc::new(MemoryRefused::default()),
        clock,
    })
}

/// What an operator types, with the token in the file `ops-token` of the installation's folder: the
/// exit code and its standard error.
pub fn moongate(
    gateway: &Gateway,
    installation: &Installation,
    arguments: &[&str],
) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_moongate"))
        .args(arguments)
        .env("MOONGATE_ADMIN", format!("http://{}", gateway.operator()))
        .env("MOONGATE_TOKEN_FILE", installation.folder().join("ops-token"))
        .env_remove("MOONGATE_TOKEN")
        .output()
        .unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code().unwrap(), out, err)
}

/// A change by the operator `ops`, which must succeed.
pub async fn change(gateway: &Gateway, path: &str, body: Value) -> Value {
    let reply = Call::post(path).with(OPS).json(&body).send_uninspected(gateway.operator()).await;
    assert!([200, 201].contains(&reply.status), "{path}: {}", reply.text());
    reply.json()
}

/// What the operator `watch` sees.
pub async fn see(gateway: &Gateway, path: &str) -> Value {
    let reply = Call::get(path).with(WATCH).send_uninspected(gateway.operator()).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()
}

/// Makes a key; gives its text and its id.
pub async fn make_key(gateway: &Gateway, wanted: Value) -> (String, String) {
    let made = change(gateway, "/admin/v1/keys", wanted).await;
    (made["secret"].as_str().unwrap().to_owned(), made["key"]["id"].as_str().unwrap().to_owned())
}

/// What the team listener says of a credential.
pub async fn me(gateway: &Gateway, credential: &str) -> Reply {
    gateway.send(&Call::get("/gateway/v1/me").with(credential)).await
}

/// What becomes of a credential: `200`, or the code of the refusal.
pub async fn judged(gateway: &Gateway, credential: &str) -> String {
    let reply = me(gateway, credential).await;
    if reply.status == 200 { "200".to_owned() } else { reply.refusal().1 }
}

/// Waits until a gateway says this of a credential, which it must within [`PROMISED`]. The time
/// during which this machine let the test wait for its own clock or for an answer is not the
/// gateway's.
pub async fn soon(gateway: &Gateway, credential: &str, expected: &str) {
    const PAUSE: Duration = Duration::from_millis(5);
    let (began, mut of_the_machine) = (Instant::now(), Duration::ZERO);
    loop {
        let started = Instant::now();
        let judged = judged(gateway, credential).await;
        let elapsed = began.elapsed();
        if judged == expected {
            return;
        }
        let most = (PROMISED + 3 * of_the_machine).min(PATIENCE);
        assert!(elapsed < most, "{judged}, and not {expected}, after {elapsed:?}");
        tokio::time::sleep(PAUSE).await;
        of_the_machine += started.elapsed().saturating_sub(PAUSE);
    }
}
