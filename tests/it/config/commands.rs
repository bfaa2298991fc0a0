//! `moongate check` and `moongate schema`: what they print, and how they end.

use std::fs;
use std::process::{Command, Stdio};

use moongate::cli::check::Check;
use moongate::cli::schema::Schema;
use serde_json::Value;

const SECRET: &str = "sk-live-do-not-show-me";
const HASH: &str = "41ba696bc2822924f7cba0ce211bfddfe653ceb3c981255a1775bebf110bf42d";

/// Runs `check` on a text: exit code, what was printed, what was complained of.
fn check(text: &str) -> (u8, String, String) {
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join("key"), SECRET).expect("secret");
    let config = folder.path().join("moongate.yaml");
    fs::write(&config, text).expect("file");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = Check { config, without_secrets: false }.run(&mut out, &mut err).expect("printed");
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .expect("text")
            .replace(&folder.path().display().to_string(), "FOLDER")
    };
    (code, text(out), text(err))
}

fn good() -> String {
    format!(
        "upstream: {{ base_url: https://firemoon.studio/api, \
         keys: [{{ name: primary, secret: {{ file: key }} }}] }}\n\
         ledger: {{ embedded: {{ path: moongate.db }} }}\ntime_zone: Europe/Berlin\n\
         teams: {{ design: {{ models: [\"*\"], limits: {{ credits_per_month: 0.10 }} }} }}\n\
         identity: {{ keys: [{{ id: k7Qp2mZr9aBc, sha256: {HASH}, team: design, name: ci }}] }}\n"
    )
}

#[test]
fn check_prints_every_effective_setting_and_no_secret() {
    let (code, out, err) = check(&good());
    assert_eq!(code, 0);
    assert_eq!(
        err,
        "warning: FOLDER/moongate.yaml:4:29: teams.design.models[0]: no model under \
         pricing.models fits *: it allows nothing\n\
         FOLDER/moongate.yaml: OK, with 1 warning\n",
        "what is hardly meant is a warning, and no error"
    );
    assert!(!out.contains(SECRET) && !out.contains(HASH), "{out}");
    let effective: Value = serde_saphyr::from_str(&out).expect("YAML");
    let at = |pointer: &str| effective.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/listen/address"), "[::]:8080");
    assert_eq!(at("/upstream/connect_timeout"), "3s");
    assert_eq!(at("/upstream/keys/0/secret/file"), "key");
    assert_eq!(at("/teams/design/time_zone"), "Europe/Berlin");
    assert_eq!(at("/teams/design/limits/credits_per_month"), "0.10");
    assert_eq!(at("/identity/keys/0/sha256"), "[hash]");
}

#[test]
fn check_without_secrets_needs_none_of_them_and_all_else() {
    let folder = tempfile::tempdir().expect("folder");
    let config = folder.path().join("moongate.yaml");
    let text = format!(
        "{}listen: {{ tls: {{ cert: {{ file: tls.crt }}, key: {{ file: tls.key }} }} }}\n\
         admin: {{ tokens: [{{ name: ops, sha256: {{ file: ops }} }}, \
         {{ name: ci, sha256: {{ env: CI }} }}] }}\n",
        good()
    );
    fs::write(&config, &text).expect("file");
    let check = |without_secrets| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let check = Check { config: config.clone(), without_secrets };
        let code = check.run(&mut out, &mut err).expect("printed");
        (code, String::from_utf8(err).expect("text"))
    };
    let (code, err) = check(false);
    assert_eq!((code, err.matches("no such file").count()), (2, 4), "{err}");
    let (code, err) = check(true);
    assert!(code == 0 && err.ends_with("OK, with 1 warning\n"), "{err}");
    fs::write(&config, text.replace("file: key", "file: key, env: KEY")).expect("file");
    let (code, err) = check(true);
    assert!(code == 2 && err.contains("must be exactly one of file and env"), "{err}");
}

#[test]
fn a_reader_who_has_enough_ends_the_schema_quietly() {
    let mut schema = Command::new(env!("CARGO_BIN_EXE_moongate"));
    schema.arg("schema").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut schema = schema.spawn().expect("started");
    drop(schema.stdout.take());
    let ended = schema.wait_with_output().expect("ended");
    assert_eq!(
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned()),
        (Some(0), String::new())
    );
}

#[test]
fn check_takes_the_file_that_the_environment_names() {
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join("key"), SECRET).expect("secret");
    let config = folder.path().join("elsewhere.yaml");
    fs::write(&config, good()).expect("file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_moongate"));
    let checked = command.arg("check").env("MOONGATE_CONFIG", &config).output().expect("it ran");
    let shown = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && shown.contains("time_zone: Europe/Berlin"), "{checked:?}");
}

/// Some services take their token in the query of an address.
#[test]
fn the_query_of_an_address_is_taken_and_not_shown() {
    let hook = "webhook: { url: \"https://hooks.example.com/notify/?key=hook-query-4f0e\" }\n";
    let (code, out, err) = check(&(good() + hook));
    assert_eq!(code, 0, "{err}");
    let effective: Value = serde_saphyr::from_str(&out).expect("YAML");
    assert_eq!(effective["webhook"]["url"], "https://hooks.example.com/notify/?[query]");
    assert!(!out.contains("hook-query") && !err.contains("hook-query"), "{out}{err}");
    let issuer = "identity: { issuers: [{ issuer: ci, audiences: [moongate], \
                  algorithms: [RS256], team_claim: /team, \
                  jwks: { url: \"https://ci.example.com/keys?key=jwks-query-4f0e\" }, \
                  teams: { design: design } }] }\n";
    let (code, out, err) = check(&good().replace(good().lines().last().expect("identity"), issuer));
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("https://ci.example.com/keys?[query]") && !out.contains("jwks-query"),
        "{out}"
    );
}

/// `serve` begins without it: see the tests of issuers.
#[test]
fn check_names_an_issuers_key_file_that_cannot_be_used() {
    let issuer = |file: &str| {
        format!(
            "{{ issuer: build, audiences: [moongate], algorithms: [ES256], \
             jwks: {{ file: {file} }}, team_claim: /team, teams: {{ design: design }} }}"
        )
    };
    let priced =
        format!("{}pricing: {{ models: {{ flux/dev: {{ per_image: 0.025 }} }} }}\n", good());
    let issuers =
        |list: &str| priced.replace("identity: {", &format!("identity: {{ issuers: [{list}],"));
    let (code, out, err) = check(&issuers(&issuer("nowhere.json")));
    assert_eq!(code, 2);
    assert!(out.contains("nowhere.json"), "the settings are good: {out}");
    let expected = "FOLDER/moongate.yaml: identity.issuers[0].jwks.file: FOLDER/nowhere.json: the \
                    file cannot be read: ";
    assert!(err.starts_with(expected), "{err}");
    let (code, _, err) = check(&issuers(&issuer("key")));
    assert_eq!(
        (code, err.as_str()),
        (
            2,
            "FOLDER/moongate.yaml: identity.issuers[0].jwks.file: FOLDER/key: this is \
             not a key set\n"
        )
    );
}

#[test]
fn check_warns_of_usable_models_without_a_price() {
    let warned = |models: &str, pricing: &str| {
        let text = good()
            .replace("[\"*\"]", models)
            .replace("name: ci }", "name: ci, models: [flux/pro] }");
        let (code, _, err) = check(&format!("{text}pricing: {{ {pricing} }}\n"));
        assert_eq!(code, 0, "{err}");
        let warnings = err.lines().filter_map(|line| {
            line.strip_prefix("warning: FOLDER/moongate.yaml:").map(str::to_owned)
        });
        warnings.collect::<Vec<_>>()
    };
    let prices = "models: { flux/dev: { per_image: 0.025 }, flux/pro: { per_image: 0.05 } }";
    let models = "[flux/dev, flux/devv, \"kling/*\", \"flux/*\", nano-banana, sd, \"!sd\"]";
    assert_eq!(
        warned(models, prices),
        [
            "4:39: teams.design.models[1]: flux/devv has no price under pricing.models: its calls \
             are refused; did you mean flux/dev?",
            "4:50: teams.design.models[2]: no model under pricing.models fits kling/*: \
             it allows nothing",
            "4:71: teams.design.models[4]: nano-banana has no price under pricing.models: its \
             calls are refused",
        ]
    );
    let unpriced = "models: { flux/dev: { per_image: 0.025 } }";
    let of_a_key = warned("[flux/dev]", unpriced);
    assert!(
        of_a_key.len() == 1 && of_a_key[0].contains("identity.keys[0].models[0]: flux/pro"),
        "{of_a_key:?}"
    );
    assert_eq!(
        warned(models, "unknown_model_credits: 1"),
        Vec::<String>::new(),
        "then every model has a price"
    );
}

#[test]
fn check_ends_with_2_and_names_every_problem() {
    let (code, out, err) =
        check(&good().replace("time_zone", "timezone").replace("[\"*\"]", "[\"**\"]"));
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        err,
        "FOLDER/moongate.yaml:3:1: timezone: unknown key; did you mean time_zone?\n\
         FOLDER/moongate.yaml:4:29: teams.design.models[0]: must be a model id, prefix/* or *, \
         with ! in front to deny; not \"**\"\n"
    );
}

/// Exit code and complaints of a command.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moongate"));
    let ended = command.args(arguments).env("MOONGATE_TOKEN", "token").output().expect("it ran");
    (ended.status.code(), String::from_utf8(ended.stderr).expect("text"))
}

#[test]
fn a_command_given_an_impossible_address_exits_with_2() {
    for arguments in [
        ["healthcheck", "--address", "127.0.0.1:99999"],
        ["healthcheck", "--address", "127.0.0.1:0"],
        ["simulate", "--media-url", "http://media.example:70000/"],
    ] {
        let (code, err) = run(&arguments);
        assert!(
            code == Some(2) && err.contains("a port from 1 to 65535"),
            "{arguments:?}: {code:?} {err}"
        );
    }
    for command in [&["teams", "list"][..], &["healthcheck"]] {
        let (code, err) = run(&[command, &["--admin", "http://127.0.0.1:99999"]].concat());
        assert!(
            code == Some(2) && err.contains("--admin must have a port from 1 to 65535"),
            "{code:?} {err}"
        );
    }
    let (code, err) = run(&["healthcheck", "--address", "127.0.0.1"]);
    assert!(code == Some(2) && err.contains("must be HOST:PORT"), "{code:?} {err}");
}

#[test]
fn the_schema_describes_every_key_and_allows_no_other() {
    let mut out = Vec::new();
    Schema {}.run(&mut out).expect("printed");
    let schema: Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["required"], serde_json::json!(["ledger", "teams", "upstream"]));
    let definitions = schema["$defs"].as_object().expect("definitions");
    let objects =
        definitions.values().chain([&schema]).filter(|definition| definition["type"] == "object");
    for object in objects {
        assert_eq!(object["additionalProperties"], false, "{object}");
        for (key, property) in object["properties"].as_object().expect("keys") {
            assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()), "{key}");
        }
    }
    let text = String::from_utf8(out).expect("text");
    assert!(
        !text.contains("x-called") && !text.contains("x-required"),
        "what only the gateway reads is left out"
    );
}
