//! An authenticator to query, with three teams, one issuer and a clock that stands still.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan};
use moongate::clock::Clock;
use moongate::config::read_limits;
use moongate::identity::settings::{Algorithm, ClaimPath, IssuerSettings, KeySettings, KeySource};
use moongate::identity::{
    Authenticator, AuthenticatorError, KeyRegistry, Observer, Rejection, Settings,
};
use moongate::team::{State, Team, TeamId, UserId};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::tokens::{SigningKey, key_set};

/// Who issues the tokens of most tests.
pub const ISSUER: &str = "https://sso.example.com";

/// When the clock stands, in seconds since 1970.
pub const NOW: i64 = 1_900_000_000;

/// A clock that stands at [`NOW`].
pub fn clock() -> Clock {
    Clock::moved(Timestamp::from_second(NOW).expect("time"))
}

/// Moves a clock forward.
pub fn pass(clock: &Clock, seconds: i64) {
    clock.set(clock.now().checked_add(seconds.seconds()).expect("time"));
}

/// Claims of a good token: ann of the team design, for an hour.
pub fn good_claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": "moongate",
        "sub": "ann",
        "iat": NOW,
        "exp": NOW + 3600,
        "groups": ["staff", "grp-design"],
    })
}

/// [`good_claims`] with some of them changed, or taken out where the new value is `null`.
pub fn claims_with(changes: Value) -> Value {
    let mut claims = good_claims();
    for (name, value) in changes.as_object().expect("object") {
        if value.is_null() {
            claims.as_object_mut().expect("object").remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// The issuer as the configuration describes it.
pub fn issuer_settings(keys: KeySource) -> IssuerSettings {
    let team = |name| TeamId::parse(name).expect("team");
    IssuerSettings {
        issuer: ISSUER.into(),
        audiences: vec!["moongate".to_owned(), "moongate-batch".to_owned()],
        algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        keys,
        authorities: None,
        refresh: IssuerSettings::REFRESH,
        max_stale: IssuerSettings::MAX_STALE,
        leeway: IssuerSettings::LEEWAY,
        max_token_age: None,
        team_claim: ClaimPath::parse("/groups").expect("path"),
        user_claim: ClaimPath::parse("/sub").expect("path"),
        teams: HashMap::from([
            ("grp-design".to_owned(), team("design")),
            ("grp-design-leads".to_owned(), team("design")),
            ("grp-growth".to_owned(), team("growth")),
            ("grp-closed".to_owned(), team("closed")),
        ]),
    }
}

/// [`issuer_settings`] with the keys of a file.
pub fn issuer_with_file(path: &Path) -> IssuerSettings {
    issuer_settings(KeySource::File(path.to_owned()))
}

/// The teams design, growth (where mallory is suspended) and closed (which is suspended).
pub fn teams() -> HashMap<TeamId, Arc<Team>> {
    let team = |name: &str, state, suspended: &[&str]| {
        let id = TeamId::parse(name).expect("team");
        let team = Team {
            id: id.clone(),
            state,
            suspended_users: suspended.iter().filter_map(|user| UserId::parse(user)).collect(),
            models: Default::default(),
            limits: Arc::default(),
            user_limits: Arc::default(),
            weight: 1,
            time_zone: jiff::tz::TimeZone::UTC,
            prices: Arc::default(),
        };
        (id, Arc::new(team))
    };
    HashMap::from([
        team("design", State::Active, &[]),
        team("growth", State::Active, &["mallory"]),
        team("closed", State::Suspended, &[]),
    ])
}

/// An authenticator of issuers and keys that nobody watches.
pub fn authenticator(
    issuers: Vec<IssuerSettings>,
    keys: Vec<KeySettings>,
    clock: &Clock,
) -> Authenticator {
    reloaded(issuers, keys, clock, None, &Arc::new(Counts::default())).expect("directory")
}

/// An authenticator that takes the place of another, if there is one, and is watched.
pub fn reloaded(
    issuers: Vec<IssuerSettings>,
    keys: Vec<KeySettings>,
    clock: &Clock,
    previous: Option<&Authenticator>,
    counts: &Arc<Counts>,
) -> Result<Authenticator, AuthenticatorError> {
    let counts: Arc<dyn Observer> = Arc::clone(counts) as Arc<dyn Observer>;
    let registry = Arc::new(KeyRegistry::read(Vec::new(), &KeyRegistry::default(), read_limits));
    let settings = Settings { issuers, keys, ..Settings::default() };
    Authenticator::new(settings, &teams(), &registry, previous, clock.clone(), counts)
}

/// What an authenticator says of a credential without waiting, as `team/user`.
pub fn verdict(authenticator: &Authenticator, credential: &str) -> Result<String, Rejection> {
    authenticator.authenticate_now(credential).expect("a verdict without waiting").map(
        |(principal, team)| {
            assert_eq!(principal.team, team.id);
            format!("{}/{}", principal.team, principal.user)
        },
    )
}

/// The issuer with an RSA, an EC and an Ed25519 key, and an authenticator that knows it by a file.
pub struct World {
    pub rsa: &'static SigningKey,
    pub ec: SigningKey,
    pub ed: SigningKey,
    pub clock: Clock,
    pub authenticator: Authenticator,
    pub folder: TempDir,
}

/// A world with [`issuer_settings`].
pub fn world() -> World {
    world_with(|_| {})
}

/// A world with other settings.
pub fn world_with(change: impl FnOnce(&mut IssuerSettings)) -> World {
    let (rsa, ec, ed) = (SigningKey::rsa(0), SigningKey::ec("ec-0"), SigningKey::ed("ed-0"));
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("keys.json");
    std::fs::write(&file, key_set(&[rsa, &ec, &ed])).expect("file");
    let mut settings = issuer_with_file(&file);
    change(&mut settings);
    let clock = clock();
    let authenticator = authenticator(vec![settings], vec![], &clock);
    World { rsa, ec, ed, clock, authenticator, folder }
}

/// Counts what an authenticator reports.
#[derive(Default)]
pub struct Counts {
    pub refreshed: AtomicUsize,
    pub failed: AtomicUsize,
    pub authenticated: Mutex<HashMap<(&'static str, &'static str), usize>>,
}

impl Counts {
    /// How often keys were read or tried to be read.
    pub fn readings(&self) -> usize {
        self.refreshed.load(Ordering::SeqCst) + self.failed.load(Ordering::SeqCst)
    }
}

impl Observer for Counts {
    fn authenticated(&self, kind: &'static str, result: &'static str) {
        *self.authenticated.lock().expect("lock").entry((kind, result)).or_default() += 1;
    }

    fn refreshed(&self, _issuer: &str, result: &'static str) {
        let counter = if result == "ok" { &self.refreshed } else { &self.failed };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

/// Waits until something is so; fails after a minute.
pub async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
