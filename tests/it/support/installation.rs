//! A folder with a gateway's configuration, its secrets and its teams' keys.

use std::path::PathBuf;

use moongate::identity::GatewayKey;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::firemoon::{Firemoon, SHARED_KEY};
use super::redis::RedisServer;
use super::tokens::{SigningKey, key_set};

/// Who issues the tokens.
pub const ISSUER: &str = "https://sso.example.com";

/// The file, as it will be written, and everything it names. JSON is YAML.
pub struct Installation {
    folder: TempDir,
    file: Value,
    keys: Vec<(String, String)>,
}

impl Installation {
    /// Two teams without limits, `design` and `growth`, each with a key, before this upstream, with
    /// an embedded ledger.
    pub fn before(firemoon: &Firemoon) -> Self {
        Self::before_url(&firemoon.base_url())
    }

    /// The same with the ledger in Redis, which may take its time: how long must not decide a test
    /// on a busy machine.
    pub fn on(redis: &RedisServer, firemoon: &Firemoon) -> Self {
        Self::before(firemoon)
            .set("/ledger", json!({ "redis": { "url": redis.url(), "deadline": "20s" } }))
    }

    /// The same before any upstream.
    pub fn before_url(base_url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("shared-key"), format!("{SHARED_KEY}\n")).unwrap();
        std::fs::write(folder.path().join("jwks.json"), key_set(&[SigningKey::rsa(0)])).unwrap();
        let file = json!({
            "listen": { "address": "127.0.0.1:0", "workers": 2 },
            "admin": { "address": "127.0.0.1:0" },
            "upstream": {
                "base_url": base_url,
                "keys": [{ "name": "primary", "secret": { "file": "shared-key" } }],
            },
            "ledger": { "embedded": { "path": "ledger.db" } },
            "identity": {
                "issuers": [{
                    "issuer": ISSUER,
                    "audiences": ["moongate"],
                    "algorithms": ["RS256"],
                    "jwks": { "file": "jwks.json" },
                    "team_claim": "/groups",
                    "teams": {
                        "grp-design": "design",
                        "grp-growth": "growth",
                        "grp-closed": "closed",
                    },
                }],
                "keys": [],
            },
            "teams": {
                "design": { "models": ["*", "!flux/pro"] },
                "growth": { "models": ["flux/*"] },
                "closed": { "models": ["*"], "suspended": true },
            },
            "pricing": { "models": {
                "flux/dev": { "per_image": 0.025 },
                "flux/schnell": { "per_image": 0.003 },
                "flux/pro": { "per_image": 0.05 },
                "kling/kling-2-1-master": { "per_second": 0.28 },
            } },
            // Tests ask again and again until what they wait for is there.
            "account": { "requests_per_minute": 1_000_000 },
            "shutdown": { "delay": "0s", "grace": "60s" },
            "telemetry": { "logs": "json" },
            "reload": { "poll": "50ms" },
        });
        let mut installation = Self { folder, file, keys: Vec::new() };
        for team in ["design", "growth", "closed"] {
            installation.add_key(team, json!({ "team": team, "name": "ci" }));
        }
        installation
    }

    /// Sets a value at a JSON pointer, and makes what is missing on the way to it.
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        self.change(pointer, value);
        self
    }

    /// Changes the value at a JSON pointer and, once a gateway runs, the file in place.
    pub fn change(&mut self, pointer: &str, value: Value) {
        let mut place = &mut self.file;
        // Model ids have slashes, which a pointer writes as ~1 (RFC 6901).
        for step in pointer.split('/').skip(1).map(|step| step.replace("~1", "/")) {
            place = match place.is_array() {
                true => &mut place[step.parse::<usize>().unwrap()],
                false => &mut place[step.as_str()],
            };
        }
        *place = value;
        self.write();
    }

    /// The value at a JSON pointer.
    pub fn value(&self, pointer: &str) -> &Value {
        self.file.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"))
    }

    /// Makes one more gateway key, under a name of the test's own: `{"team": "design", "name":
    /// "laptop"}` and what else a key can have.
    pub fn add_key(&mut self, known_as: &str, mut key: Value) {
        let made = GatewayKey::generate().unwrap();
        key["id"] = json!(made.id.as_str());
        key["sha256"] = json!(made.hash.to_hex());
        self.keys.push((known_as.to_owned(), made.text.expose().to_owned()));
        self.file["identity"]["keys"].as_array_mut().unwrap().push(key);
        self.write();
    }

    /// The text of a key; the teams' first keys are known by the teams' names.
    pub fn key(&self, known_as: &str) -> &str {
        let found = self.keys.iter().find(|(name, _)| name == known_as);
        &found.unwrap_or_else(|| panic!("no key {known_as}")).1
    }

    /// A good token of a user of the team design, for ten minutes.
    pub fn token(&self, user: &str) -> String {
        SigningKey::rsa(0).token(&claims(user))
    }

    /// What no log may hold: every key's secret.
    pub fn credentials(&self) -> Vec<String> {
        // The public id in front of it may be shown.
        self.keys.iter().map(|(_, text)| text.rsplit('_').next().unwrap().to_owned()).collect()
    }

    /// Where the file is.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("moongate.yaml")
    }

    /// The folder it is in.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Puts any text in the place of the file, at once.
    pub fn replace(&self, text: &str) {
        let beside = self.folder.path().join("moongate.yaml.new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, self.path()).unwrap();
    }

    fn write(&self) {
        self.replace(&serde_json::to_string_pretty(&self.file).unwrap());
    }
}

/// Claims of a good token: a user of the team design, for ten minutes.
pub fn claims(user: &str) -> Value {
    let now = jiff::Timestamp::now().as_second();
    json!({
        "iss": ISSUER,
        "aud": "moongate",
        "sub": user,
        "groups": ["staff", "grp-design"],
        "iat": now,
        "exp": now + 600,
    })
}
