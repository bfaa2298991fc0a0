//! `config/moongate.yaml` shows every key of the configuration with its true default, and it and
//! every example load.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use moongate::config;
use moongate::config::settings::Store;
use moongate::store::Topology;
use serde_json::Value;

const REFERENCE: &str = include_str!("../../../config/moongate.yaml");
/// Marks a line of the reference that takes the place of the keys of the same name beside it.
const MARK: &str = "#= ";

fn environment(variable: &str) -> Option<String> {
    matches!(variable, "FIREMOON_API_KEY" | "REDIS_PASSWORD").then(|| "secret".to_owned())
}

/// A folder with everything that the reference and the examples refer to.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    fs::create_dir_all(folder.path().join("secrets")).expect("folder");
    fs::create_dir_all(folder.path().join("cluster")).expect("folder");
    for file in [
        "tls.crt",
        "tls.key",
        "firemoon-api-key",
        "redis-password",
        "webhook-authorization",
        "otlp-authorization",
        "build-system.jwks.json",
        "cluster/jwks.json",
    ] {
        fs::write(folder.path().join(file), "content").expect("file");
    }
    for file in ["firemoon-api-key", "firemoon-api-key-2", "redis-password", "redis-ca.pem"] {
        fs::write(folder.path().join("secrets").join(file), "content").expect("file");
    }
    fs::write(folder.path().join("ops-token.sha256"), "0a".repeat(32)).expect("file");
    folder
}

fn load(text: &str, folder: &Path) -> config::Settings {
    let source = folder.join("moongate.yaml");
    config::parse(text, &source.display().to_string(), &environment)
        .unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The reference with one of its alternatives in use, for each of them.
fn alternatives() -> Vec<String> {
    let lines: Vec<&str> = REFERENCE.lines().collect();
    let is_marked = |line: &&str| line.trim_start().starts_with(MARK);
    let mut texts = Vec::new();
    let mut at = 0;
    while let Some(start) =
        lines.get(at..).and_then(|rest| rest.iter().position(is_marked)).map(|found| at + found)
    {
        at = start
            + lines[start..]
                .iter()
                .position(|line| !is_marked(line))
                .unwrap_or(lines.len() - start);
        let block: Vec<String> =
            lines[start..at].iter().map(|line| line.replacen(MARK, "", 1)).collect();
        texts.push(in_use(&lines, start, at, &block));
    }
    texts
}

/// The lines with those of a block in the place of the keys of the same name beside them.
fn in_use(lines: &[&str], start: usize, end: usize, block: &[String]) -> String {
    let depth = indent(&block[0]);
    let key = |line: &str| {
        (indent(line) == depth)
            .then(|| line.trim_start().split(':').next().unwrap_or_default().to_owned())
    };
    let replaced: Vec<String> = block.iter().filter_map(|line| key(line)).collect();
    let is_plain = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    // The section that the block stands in: from the last shallower line before it to the first
    // after it.
    let shallower = |line: &&str| is_plain(line) && indent(line) < depth;
    let first = lines[..start].iter().rposition(shallower).map_or(0, |found| found + 1);
    let last = lines[end..].iter().position(shallower).map_or(lines.len(), |found| end + found);
    let mut text: Vec<&str> = lines[..first].to_vec();
    let mut dropping = false;
    for (at, line) in lines.iter().enumerate().take(last).skip(first) {
        if is_plain(line) && indent(line) == depth {
            dropping = key(line).is_some_and(|key| replaced.contains(&key));
        }
        if at == start {
            text.extend(block.iter().map(String::as_str));
        }
        if !dropping {
            text.push(line);
        }
    }
    text.extend(&lines[last..]);
    text.join("\n")
}

/// Every key of every shape of the schema, with its default if it has one and the values that the
/// texts give it.
#[derive(Default)]
struct Keys(BTreeMap<(String, String), (Option<Value>, Vec<Value>)>);

impl Keys {
    /// Follows a schema together with the values that stand in its place; `shape` is the name of
    /// what it is a part of.
    fn walk(&mut self, schema: &Value, root: &Value, shape: &str, values: &[&Value]) {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let definition = root.pointer(reference.trim_start_matches('#')).expect("a definition");
            return self.walk(definition, root, reference.trim_start_matches("#/$defs/"), values);
        }
        for one in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
            self.walk(one, root, shape, values);
        }
        if let Some(items) = schema.get("items") {
            let items_given: Vec<&Value> =
                values.iter().filter_map(|value| value.as_array()).flatten().collect();
            self.walk(items, root, shape, &items_given);
        }
        let maps = || values.iter().filter_map(|value| value.as_object());
        if let Some(any) = schema.get("additionalProperties").filter(|any| any.is_object()) {
            self.walk(any, root, shape, &maps().flat_map(|map| map.values()).collect::<Vec<_>>());
        }
        for (key, property) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            let given: Vec<&Value> = maps().filter_map(|map| map.get(key)).collect();
            let known = self.0.entry((shape.to_owned(), key.clone())).or_default();
            known.0 = property.get("default").filter(|default| !default.is_object()).cloned();
            known.1.extend(given.iter().copied().cloned());
            self.walk(property, root, shape, &given);
        }
    }

    fn wrong(&self) -> Vec<String> {
        let wrong = self.0.iter().filter_map(|((shape, key), (default, given))| match default {
            _ if given.is_empty() => Some(format!("{shape}.{key} is not shown")),
            Some(default) if !given.contains(default) => {
                Some(format!("{shape}.{key} is not shown with its default, {default}"))
            }
            _ => None,
        });
        wrong.collect()
    }
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

#[test]
fn the_reference_has_every_configuration_key_and_its_default() {
    let schema = config::schema::published();
    let (active, others) = (yaml(REFERENCE), alternatives());
    let others: Vec<Value> = others.iter().map(|text| yaml(text)).collect();
    let mut keys = Keys::default();
    keys.walk(
        &schema,
        &schema,
        "File",
        &std::iter::once(&active).chain(&others).collect::<Vec<_>>(),
    );
    assert!(keys.0.len() > 90, "{}", keys.0.len());
    assert_eq!(keys.wrong(), Vec::<String>::new());
}

/// What the reference must give a value of its own, because it has no default or is only useful
/// filled in.
const CHOSEN: [&str; 6] = [
    ".upstream.base_url",
    ".upstream.keys",
    ".ledger.redis",
    ".teams",
    ".pricing.models",
    ".teams.design.limits",
];

fn differing(path: &str, reference: &Value, default: &Value, wrong: &mut Vec<String>) {
    match (reference, default) {
        _ if CHOSEN.contains(&path) => {}
        (Value::Object(reference), Value::Object(default)) => {
            for (key, value) in default {
                differing(
                    &format!("{path}.{key}"),
                    reference.get(key).unwrap_or(&Value::Null),
                    value,
                    wrong,
                );
            }
        }
        (reference, default) if reference != default => {
            wrong.push(format!("{path}: {reference}, not {default}"))
        }
        _ => {}
    }
}

#[test]
fn what_the_reference_sets_are_the_defaults() {
    let default = serde_json::to_value(config::file::File::default()).expect("JSON");
    let mut wrong = Vec::new();
    differing("", &yaml(REFERENCE), &default, &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reference_loads_and_so_does_every_alternative_in_it() {
    let folder = folder();
    load(REFERENCE, folder.path());
    let alternatives = alternatives();
    assert!(alternatives.len() >= 8, "{}", alternatives.len());
    for text in &alternatives {
        load(text, folder.path());
    }
}

#[test]
fn a_minimal_file_means_the_same_as_the_defaults() {
    let minimal = "upstream:\n  base_url: https://firemoon.studio/api\n\
                   \x20 keys: [{ name: primary, secret: { env: FIREMOON_API_KEY } }]\n\
                   ledger: { redis: { url: redis://127.0.0.1:6379 } }\nteams: {}\n";
    let (minimal, reference) = (load(minimal, Path::new("")), load(REFERENCE, Path::new("")));
    assert_eq!(reference.needs_restart(&minimal), Vec::<String>::new());
    assert_eq!(reference.fixed.server, minimal.fixed.server);
    assert_eq!(reference.live.upstream, minimal.live.upstream);
    assert_eq!(reference.live.catalogue, minimal.live.catalogue);
    assert_eq!(minimal.fixed.request.body_bytes_max, 4_500_000);
}

/// The example of the design, with what it leaves open filled in: a hash where it has none, and the
/// team that only its issuer names.
const DESIGN: &str = r#"
listen: { address: 0.0.0.0:8080 }           # tls: { cert: {file: …}, key: {file: …} }
admin:  { address: 127.0.0.1:9091, tokens: [{ name: ops, sha256: { file: ops-token.sha256 } }] }
upstream:
  base_url: https://firemoon.studio/api
  keys: [{ name: primary, secret: { env: FIREMOON_API_KEY } }]
  limits: { requests_per_minute: 60, requests_per_day: 1000, requests_per_month: 10000 }
ledger:
  # Or sentinel: …, cluster: …, or embedded: { path: moongate.db }.
  redis: { url: redis://127.0.0.1:6379 }
identity:
  issuers:
    - issuer: https://sso.example.com
      audiences: [moongate]
      algorithms: [RS256]
      jwks: { discovery: true }             # or { url: https://… }, or { file: keys.json }
      team_claim: /groups                   # JSON pointer; a list is searched
      user_claim: /sub
      teams: { grp-design: design, grp-growth: growth }
  keys:                                     # gateway keys kept in this file: hash only
    - { id: k7Qp2mZr9aBc, team: design, name: ci, sha256: "HASH", user: render-farm }
teams:
  growth: { models: [] }
  design:
    # Exact ids, prefix/* or *; ! denies and wins; an empty list allows nothing.
    models: ["flux/*", "nano-banana", "!flux/pro"]
    limits: { requests_per_minute: 30, concurrent: 8, credits_per_day: 20, credits_per_month: 400 }
    user_limits: { requests_per_minute: 10 }
    weight: 2                               # share of the shared account when it is scarce
pricing:
  models:
    flux/dev: { per_image: 0.025 }
    kling/kling-2-1-master: { per_second: 0.28 }
"#;

#[test]
fn the_example_of_the_design_loads_as_it_says() {
    let folder = folder();
    let settings = load(&DESIGN.replace("HASH", &"0a".repeat(32)), folder.path());
    let limits = settings.live.upstream.limits;
    assert_eq!(
        [limits.per_minute, limits.per_day, limits.per_month],
        [Some(60), Some(1000), Some(10_000)]
    );
    assert_eq!(settings.live.upstream.queue.max_wait.as_secs(), 20);
    let design =
        settings.live.teams.values().find(|team| team.id.as_str() == "design").expect("a team");
    assert_eq!(design.weight, 2);
}

#[test]
fn every_example_loads() {
    let folder = folder();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let mut paths: Vec<PathBuf> = fs::read_dir(&examples)
        .expect("examples")
        .map(|entry| entry.expect("entry").path())
        .collect();
    paths.sort();
    let loaded: Vec<(String, config::Settings)> = paths
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path)
                .expect("example")
                .replace("/etc/moongate", &folder.path().display().to_string());
            (
                path.file_stem().expect("name").to_string_lossy().into_owned(),
                load(&text, folder.path()),
            )
        })
        .collect();
    let store = |name: &str| {
        let (_, settings) = loaded.iter().find(|(loaded, _)| loaded == name).expect(name);
        match &settings.fixed.ledger.store {
            Store::Redis(redis) => match &redis.topology {
                Topology::Single { .. } => "single",
                Topology::Sentinel { .. } => "sentinel",
                Topology::Cluster { .. } => "cluster",
            },
            Store::Embedded { .. } => "embedded",
        }
    };
    let names = ["oidc", "kubernetes", "sentinel", "cluster", "one-machine"];
    assert_eq!(names.map(store), ["single", "single", "sentinel", "cluster", "embedded"]);
    assert_eq!(loaded.len(), names.len());
}
