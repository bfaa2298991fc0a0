//! The house stays tidy: who may import whom, what a file looks like, and what is never written
//! down.

mod cycles;
mod function_length;
mod graph;
mod line_length;
mod source;
mod test_names;

use std::path::{Path, PathBuf};

use source::Source;

/// The longest file, in lines.
const LINES_MAX: usize = 400;

/// What stands above the rooms and the small modules.
const ABOVE_THE_ROOMS: [&str; 6] = ["main", "lib", "cli", "app", "config", "stack"];

/// The modules that hold a layer of the stack, and what they make for others: the types that a
/// request becomes on its way. The layers themselves are put together in `stack.rs` and nowhere
/// else.
const LAYERS: [(&str, &str, &[&str]); 14] = [
    ("telemetry", "trace_and_count", &[]),
    ("telemetry", "measure_team", &[]),
    ("answer", "answer_refusals", &[]),
    ("answer", "catch_panic", &[]),
    ("request", "check_request", &[]),
    ("identity", "authenticate", &[]),
    ("call", "authorize", &["Authorized", "CallRequest"]),
    ("call", "collect", &["PaidCall"]),
    ("idempotency", "replay", &["NewCall", "Times"]),
    ("admission", "admit", &[]),
    ("upstream", "breaker", &["HealthSignal", "Settings"]),
    ("admission", "tell_limits", &[]),
    ("upstream", "queue", &["PermitClient", "Permitted"]),
    ("upstream", "swap_credential", &["Sent"]),
];

/// A crate, or a part of one, and the only places that may name it.
const ONLY_IN: [(&str, &[&str]); 7] = [
    ("redis", &["src/store/"]),
    ("redb", &["src/ledger/embedded/"]),
    ("hyper_util::client", &["src/https.rs"]),
    ("hyper_rustls", &["src/https.rs", "src/trust.rs"]),
    ("hyper::client", &["src/upstream/", "src/cli/gateway.rs"]),
    ("jsonwebtoken", &["src/identity/"]),
    ("prometheus", &["src/telemetry/"]),
];

#[test]
fn a_package_is_used_only_in_its_own_room() {
    let mut wrong = Vec::new();
    for source in product() {
        for (package, places) in ONLY_IN {
            if places.iter().any(|place| source.name.starts_with(place)) {
                continue;
            }
            wrong.extend(
                source.paths_into(package).map(|path| format!("{} names {path}", source.name)),
            );
        }
    }
    assert_none(wrong);
}

/// No room knows what builds the gateway either.
#[test]
fn no_room_knows_the_configuration_or_the_command_line() {
    let mut wrong = Vec::new();
    for source in product().iter().filter(|source| is_in_a_room(source)) {
        for above in ["crate::config", "crate::cli", "crate::app", "crate::stack"] {
            wrong.extend(
                source.paths_into(above).map(|path| format!("{} names {path}", source.name)),
            );
        }
    }
    assert_none(wrong);
}

#[test]
fn outer_layers_are_named_only_from_further_out() {
    // main → cli → app → {stack, server, admin, config}
    let may = [
        ("crate::cli", &["main", "lib", "cli"][..]),
        ("crate::app", &["main", "lib", "cli", "app"]),
        ("crate::stack", &["lib", "app", "stack"]),
        ("crate::config", &["main", "lib", "cli", "app", "config"]),
    ];
    let mut wrong = Vec::new();
    for source in product() {
        for (above, rooms) in may {
            if !rooms.contains(&source.room()) {
                wrong.extend(
                    source.paths_into(above).map(|path| format!("{} names {path}", source.name)),
                );
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn no_room_reaches_for_another_rooms_layers() {
    let mut wrong = Vec::new();
    // A unit test may put any layers together to see them work.
    let is_test = |source: &&Source| source.name.ends_with("tests.rs");
    for source in product().iter().filter(|source| is_in_a_room(source) && !is_test(source)) {
        for (room, module, handed_on) in LAYERS.iter().filter(|(room, ..)| *room != source.room()) {
            let inside = format!("crate::{room}::{module}");
            let layer = format!("crate::{room}::{}", capital(module));
            let of_the_layer = source.paths_into(&inside).filter(|path| {
                let item =
                    path[inside.len()..].trim_start_matches("::").split("::").next().unwrap();
                !handed_on.contains(&item)
            });
            // Looks for the name under which the room shows it, too.
            let shown = source
                .paths
                .iter()
                .filter(|path| **path == layer || **path == format!("{layer}Layer"));
            wrong.extend(
                of_the_layer.chain(shown).map(|path| format!("{} names {path}", source.name)),
            );
        }
    }
    assert_none(wrong);
}

#[test]
fn secrets_are_exposed_only_where_they_are_used() {
    // The shared key is held only by `upstream` after it was read; `cli` and `admin` show the keys
    // that they make.
    let may =
        ["secret", "upstream", "config", "identity", "store", "https", "cli", "admin", "simulator"];
    let exposing = |source: &&Source| {
        source.code.contains(".expose(") || source.code.contains(".expose_secret(")
    };
    let elsewhere = |source: &&Source| !may.contains(&source.room());
    assert_none(
        product()
            .iter()
            .filter(exposing)
            .filter(elsewhere)
            .map(|source| source.name.clone())
            .collect(),
    );
}

#[test]
fn every_file_says_first_in_a_sentence_what_it_does() {
    let mut wrong = Vec::new();
    for source in rust() {
        let paragraph: Vec<&str> =
            source.text.lines().map_while(|line| line.strip_prefix("//! ")).collect();
        let sentence = paragraph.join(" ");
        let begins = sentence
            .trim_start_matches('`')
            .starts_with(|letter: char| letter.is_uppercase() || letter.is_lowercase());
        if !begins || !sentence.contains(' ') || !sentence.ends_with(['.', '?', ':']) {
            wrong.push(format!(
                "{} begins with `{}`",
                source.name,
                source.text.lines().next().unwrap_or_default()
            ));
        }
    }
    assert_none(wrong);
}

#[test]
fn every_file_that_the_map_names_is_there() {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let named: Vec<&str> = map
        .lines()
        .filter(|line| line.starts_with("//!"))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|name| name.contains('/') && name.ends_with(".rs"))
        .collect();
    assert!(named.len() >= 10, "{named:?}");
    let gone = named.iter().filter(|name| !root().join("src").join(name).is_file());
    assert_none(gone.map(|name| format!("src/lib.rs names {name}")).collect());
}

#[test]
fn no_file_is_too_long_to_read() {
    let lines = |source: &Source| source.text.lines().count();
    let long = |source: &&Source| lines(source) > LINES_MAX;
    assert_none(
        rust()
            .iter()
            .filter(long)
            .map(|source| format!("{}: {} lines", source.name, lines(source)))
            .collect(),
    );
}

#[test]
fn no_file_is_named_after_nothing_in_particular() {
    let vague = ["utils", "util", "common", "helpers", "helper", "manager", "types", "misc"];
    let named = |path: &PathBuf| {
        vague.contains(&path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default())
    };
    assert_none(
        tracked().into_iter().filter(named).map(|path| path.display().to_string()).collect(),
    );
}

#[test]
fn nothing_is_left_undone_or_switched_off() {
    let mut wrong = Vec::new();
    for source in rust() {
        for unfinished in ["todo!", "unimplemented!", "#[ignore", "dbg!", "static mut "] {
            if source.code.contains(unfinished) {
                wrong.push(format!("{} has {unfinished}", source.name));
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn nothing_written_down_belongs_to_one_machine() {
    // Put together here, so that this file does not hold what it forbids.
    let forbidden =
        [["/wo", "rk/"], ["/ro", "ot/"], ["/Us", "ers/"], ["registry.npm", "js"], ["pypi", ".org"]]
            .map(|halves| halves.concat());
    let mut wrong = Vec::new();
    for path in tracked() {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for part in forbidden.iter().filter(|part| text.contains(*part)) {
            wrong.push(format!("{} has {part}", path.display()));
        }
    }
    assert_none(wrong);
}

fn is_in_a_room(source: &Source) -> bool {
    !ABOVE_THE_ROOMS.contains(&source.room())
}

fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}

/// `check_request` is `CheckRequest`.
fn capital(module: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    module.split('_').map(word).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The product's own files.
fn product() -> Vec<Source> {
    let sources: Vec<Source> =
        rust().into_iter().filter(|source| source.name.starts_with("src/")).collect();
    assert!(sources.len() > 50, "the source was not found");
    sources
}

/// All files of Rust.
fn rust() -> Vec<Source> {
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    tracked().iter().filter(|path| is_rust(path)).map(|path| Source::read(root(), path)).collect()
}

/// Every file that belongs to the repository: what lies around in a working copy does not.
fn tracked() -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            match (path.is_dir(), name) {
                (_, ".git" | "target" | "node_modules") => {}
                (true, _) => folders.push(path),
                (false, _) => files.push(path),
            }
        }
    }
    files.sort();
    files
}
