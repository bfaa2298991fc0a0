//! A changed configuration is picked up while running, all of it or nothing: by file change,
//! symbolic link, secret, or SIGHUP.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use moongate::config::watch::Watcher;
use moongate::config::{self, Problems, Settings};
use tokio::signal::unix::SignalKind;

const DEADLINE: Duration = Duration::from_secs(60);

fn text(limit: &str) -> String {
    format!(
        "reload: {{ poll: 10ms }}\n\
         upstream: {{ base_url: https://firemoon.studio/api, \
         keys: [{{ name: primary, secret: {{ file: key }} }}] }}\n\
         ledger: {{ embedded: {{ path: moongate.db }} }}\n\
         teams: {{ design: {{ models: [\"*\"], limits: {{ requests_per_day: {limit} }} }} }}\n"
    )
}

/// Files are replaced as an editor or a deployment does it: whole, by a rename.
fn write(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).expect("written");
    fs::rename(&new, path).expect("replaced");
}

struct Watched {
    folder: tempfile::TempDir,
    path: PathBuf,
    watcher: Watcher,
    settings: Settings,
}

/// A signal nobody sends: SIGHUP would reach the watchers of all tests in this process.
const NEVER: SignalKind = SignalKind::user_defined2();

fn watch() -> Watched {
    let folder = tempfile::tempdir().expect("folder");
    write(&folder.path().join("key"), "first");
    let path = folder.path().join("moongate.yaml");
    write(&path, &text("1"));
    let settings = config::load(&path).expect("good");
    let watcher = Watcher::on_signal(NEVER, &path, &settings).expect("signals");
    Watched { folder, path, watcher, settings }
}

impl Watched {
    async fn next(&mut self) -> Result<Settings, Problems> {
        tokio::time::timeout(DEADLINE, self.watcher.next()).await.expect("noticed in time")
    }
}

fn limit(settings: &Settings) -> u64 {
    let team = settings.live.teams.values().next().expect("a team");
    team.limits.iter().next().expect("a limit").max
}

fn key(settings: &Settings) -> &str {
    settings.live.upstream.keys[0].secret.expose()
}

#[tokio::test]
async fn a_changed_file_is_read_again() {
    let mut watched = watch();
    assert_eq!(limit(&watched.settings), 1);
    write(&watched.path, &text("2"));
    assert_eq!(limit(&watched.next().await.expect("good")), 2);
    fs::write(&watched.path, text("3")).expect("written in place");
    assert_eq!(limit(&watched.next().await.expect("good")), 3);
}

#[tokio::test]
async fn a_change_before_the_first_look_is_not_missed() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("moongate.yaml");
    write(&folder.path().join("key"), "first");
    write(&path, &text("1"));
    let settings = config::load(&path).expect("good");
    write(&path, &text("2"));
    let watcher = Watcher::on_signal(NEVER, &path, &settings).expect("signals");
    let mut watched = Watched { folder, path, watcher, settings };
    assert_eq!(limit(&watched.next().await.expect("good")), 2);
}

#[tokio::test]
async fn a_changed_secret_is_read_again() {
    let mut watched = watch();
    assert_eq!(key(&watched.settings), "first");
    write(&watched.folder.path().join("key"), "second\n");
    let settings = watched.next().await.expect("good");
    assert_eq!(key(&settings), "second");
    assert_eq!(watched.settings.needs_restart(&settings), Vec::<String>::new());
}

/// Kubernetes keeps a mounted ConfigMap or Secret in a folder of its own, and moves the link
/// `..data` to a new one.
#[tokio::test]
async fn a_moved_link_of_a_mounted_config_map_is_noticed() {
    let folder = tempfile::tempdir().expect("folder");
    let mount = |version: &str, content: &str, secret: &str| {
        let data = folder.path().join(version);
        fs::create_dir(&data).expect("folder");
        fs::write(data.join("moongate.yaml"), content).expect("file");
        fs::write(data.join("key"), secret).expect("file");
        let link = folder.path().join("..new");
        symlink(version, &link).expect("link");
        fs::rename(&link, folder.path().join("..data")).expect("moved");
    };
    mount("..2026_11_22_1", &text("1"), "first");
    for file in ["moongate.yaml", "key"] {
        symlink(Path::new("..data").join(file), folder.path().join(file)).expect("link");
    }
    mount("..2026_11_22_2", &text("1"), "first");
    let path = folder.path().join("moongate.yaml");
    let settings = config::load(&path).expect("good");
    let mut watcher = Watcher::on_signal(NEVER, &path, &settings).expect("signals");
    mount("..2026_11_22_3", &text("2"), "second");
    let settings =
        tokio::time::timeout(DEADLINE, watcher.next()).await.expect("in time").expect("good");
    assert_eq!((limit(&settings), key(&settings)), (2, "second"));
}

#[tokio::test]
async fn a_bad_file_is_reported_once_until_it_is_mended() {
    let mut watched = watch();
    write(&watched.path, &text("minus one"));
    let problems = watched.next().await.expect_err("bad").to_string();
    assert!(
        problems.ends_with(
            "must be a whole number from 0 to 1000000000, or { limit: …, shadow: … }, not text"
        ),
        "{problems}"
    );
    assert_eq!(limit(&watched.settings), 1, "the settings in use stay");
    write(&watched.path, &text("2"));
    assert_eq!(limit(&watched.next().await.expect("reported once, then good")), 2);
}

#[tokio::test]
async fn a_secret_that_was_missing_is_taken_when_it_comes() {
    let mut watched = watch();
    fs::remove_file(watched.folder.path().join("key")).expect("removed");
    let problems = watched.next().await.expect_err("no secret").to_string();
    assert!(problems.ends_with("key cannot be read: no such file"), "{problems}");
    write(&watched.folder.path().join("key"), "second");
    assert_eq!(key(&watched.next().await.expect("good")), "second");
}

#[tokio::test]
async fn a_hangup_reads_everything_again_although_nothing_changed() {
    let mut watched = watch();
    watched.watcher = Watcher::new(&watched.path, &watched.settings).expect("signals");
    let process = std::process::id().to_string();
    let sent = Command::new("kill").args(["-HUP", &process]).status().expect("kill");
    assert!(sent.success());
    assert_eq!(limit(&watched.next().await.expect("good")), 1);
}

#[test]
fn a_reload_names_exactly_what_needs_a_restart() {
    let parse = |text: &str| {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("key"), "first").expect("key");
        let source = folder.path().join("moongate.yaml").display().to_string();
        config::parse(text, &source, &|_| None).expect("good")
    };
    let old = parse(&text("1"));
    let more = "listen: { address: 127.0.0.1:1 }\nlimits: { body_timeout: 5s }\n\
                admin: { address: 127.0.0.1:2 }\n\
                pricing: { on_unknown: release, models: { flux/dev: { per_image: 1 } } }\n\
                time_zone: Europe/Berlin\n";
    let new = parse(&(text("2").replace("moongate.db", "other.db") + more));
    let expected = [
        "admin.address",
        "ledger.embedded.path",
        "limits.body_timeout",
        "listen.address",
        "pricing.on_unknown",
    ];
    assert_eq!(old.needs_restart(&new), expected);
    assert_eq!(old.needs_restart(&parse(&text("2"))), Vec::<String>::new());
    let hook = |key: &str| {
        parse(
            &(text("1")
                + &format!("webhook: {{ url: \"https://hooks.example.com/x?key={key}\" }}\n")),
        )
    };
    assert_eq!(hook("1").needs_restart(&hook("2")), ["webhook.url"]);
    let traced = |token: &str| {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("key"), "first").expect("key");
        let source = folder.path().join("moongate.yaml").display().to_string();
        let otlp = "telemetry: { otlp: { endpoint: http://c, headers: { a: { env: TOKEN } } } }\n";
        config::parse(&(text("1") + otlp), &source, &|_| Some(token.to_owned())).expect("good")
    };
    assert_eq!(traced("1").needs_restart(&traced("2")), ["telemetry.otlp.headers"]);
}

#[test]
fn a_reload_tells_each_part_before_and_after() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("moongate.yaml");
    let load = |key: &str, more: &str, limits: &str| {
        write(&folder.path().join("key"), key);
        write(&path, &(text(limits) + more));
        config::load(&path).expect("good")
    };
    let hash = |digit: &str| digit.repeat(64);
    let key = |digit: &str, name: &str| {
        format!(
            "identity: {{ keys: [{{ id: k7Qp2mZr9aBc, team: design, name: {name}, \
             sha256: \"{}\" }}] }}\n",
            hash(digit)
        )
    };
    let prices =
        "pricing: { models: { flux/dev: { per_image: 0.025 }, flux/pro: { per_image: 1 } } }\n";
    let old = load("first", &(key("a", "ci") + prices), "1");
    let prices = "pricing: { models: { flux/dev: { per_image: 0.05 } }, on_unknown: release }\n";
    let queue = "queue: { max_wait: 5s }\n";
    let new = load("second", &(key("b", "ci") + prices + queue), "2, concurrent: 4");

    let changes = config::changes(&old, &new);
    let change = |subject: &str| {
        let found = changes.iter().find(|change| change.subject == subject);
        let found = found.unwrap_or_else(|| panic!("no {subject}: {changes:?}"));
        (found.before.clone(), found.after.clone())
    };
    let (before, after) = change("team design");
    let limit = |value: &serde_json::Value, name: &str| value["limits"][name].clone();
    assert_eq!(
        (limit(&before, "requests_per_day"), limit(&after, "requests_per_day")),
        (1.into(), 2.into())
    );
    assert_eq!(
        (limit(&before, "concurrent").is_null(), limit(&after, "concurrent")),
        (true, 4.into())
    );
    assert_eq!(
        before.as_object().map(serde_json::Map::len),
        Some(1),
        "only what differs: {before}"
    );
    let (before, after) = change("price flux/dev");
    assert_eq!(
        (before["per_image"].as_str(), after["per_image"].as_str()),
        (Some("0.025"), Some("0.05"))
    );
    let (before, after) = change("price flux/pro");
    assert_eq!((before["per_image"].as_str(), after), (Some("1"), serde_json::Value::Null));
    assert_eq!(change("key k7Qp2mZr9aBc").1, serde_json::json!({ "sha256": "[another hash]" }));
    assert_eq!(change("setting queue.max_wait").1, serde_json::json!("5s"));
    change(&format!("file {}", folder.path().join("key").display()));
    assert_eq!(changes.len(), 6, "on_unknown needs a restart: {changes:?}");
    let text = format!("{changes:?}");
    for secret in ["first", "second", &hash("a"), &hash("b")] {
        assert!(!text.contains(secret), "{text}");
    }
    assert_eq!(config::changes(&new, &new), Vec::new());
}
