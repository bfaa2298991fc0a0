//! The README and the pages behind it say what the product does: what they name exists, and what
//! exists is on them.

mod page;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::{ArgAction, CommandFactory, Parser};
use moongate::admin::routes;
use moongate::cli::Cli;
use moongate::cli::schema::Schema;
use moongate::config;
use moongate::request::Route;
use moongate::telemetry::metrics::Catalogue;
use serde_json::Value;

use page::{PAGES, Page};

fn pages() -> impl Iterator<Item = Page> {
    PAGES.into_iter().map(Page::read)
}

fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}

/// The codes of all refusals.
fn codes() -> BTreeSet<&'static str> {
    let golden = include_str!("../../../../src/refusal/golden.txt");
    golden.split("\"code\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn the_readme_has_every_route_and_the_pages_every_refusal() {
    let readme = Page::read("README.md").text;
    let everything: String = pages().map(|page| page.text).collect();
    for route in Route::NAMES {
        assert!(readme.contains(route), "{route}");
    }
    for code in codes() {
        let is_the_operators = ["role_", "team_not", "key_", "call_", "topup_"]
            .iter()
            .any(|start| code.starts_with(start));
        let place = if is_the_operators { &everything } else { &readme };
        assert!(place.contains(&format!("`{code}`")), "{code}");
    }
}

#[test]
fn every_command_is_on_a_page() {
    let everything: String = pages().map(|page| page.text).collect();
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let shown = [format!("moongate {name}"), format!("-- {name}")];
        assert!(shown.iter().any(|text| everything.contains(text)), "{name}");
        for verb in command.get_subcommands() {
            let shown = format!("moongate {name} {}", verb.get_name());
            assert!(everything.contains(&shown), "{shown}");
        }
    }
}

/// What is wrong with a command as a page shows it: it or one of its flags is not there.
fn unknown(line: &str) -> Option<String> {
    let mut command = Cli::command();
    let mut words = line.split_whitespace().skip(1).peekable();
    while let Some(word) = words.peek() {
        let Some(verb) = command.find_subcommand(word).cloned() else { break };
        command = verb;
        words.next();
    }
    if command.has_subcommands() && words.peek().is_some() {
        return Some(format!("`{line}` is no command"));
    }
    let built_in = ["help".to_owned()];
    let known: BTreeSet<String> = command
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .map(str::to_owned)
        .chain(built_in)
        .collect();
    let flag = |word: &str| {
        word.strip_prefix("--").map(|flag| flag.split('=').next().unwrap_or_default().to_owned())
    };
    let flags: Vec<String> = words.filter_map(flag).collect();
    flags
        .into_iter()
        .find(|flag| !known.contains(flag))
        .map(|flag| format!("`{line}`: there is no --{flag}"))
}

#[test]
fn every_command_on_a_page_can_be_typed() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let named = page.code().into_iter().filter(|code| code.starts_with("moongate "));
        wrong.extend(
            named.filter_map(|line| unknown(&line)).map(|what| format!("{}: {what}", page.name)),
        );
        for line in page.blocks("sh").iter().flat_map(|block| block.lines()) {
            let typed = line
                .split_once("moongate ")
                .filter(|(before, _)| before.is_empty() || before.ends_with("| "));
            let Some((_, rest)) = typed else { continue };
            let words = rest.split(" #").next().unwrap_or_default().split_whitespace();
            seen += 1;
            if let Err(error) = Cli::try_parse_from(["moongate"].into_iter().chain(words)) {
                // The file may be named by the environment.
                let is_named = page.text.contains("export MOONGATE_CONFIG=");
                let names_it = error.to_string().contains("--config <FILE>");
                if !(is_named && names_it) {
                    wrong.push(format!("{}: {line}: {error}", page.name));
                }
            }
        }
    }
    assert_none(wrong);
    assert!(seen >= 25, "only {seen} commands were found");
}

#[test]
fn every_flag_on_a_page_is_one() {
    let mut known = BTreeSet::new();
    let mut commands = vec![Cli::command()];
    while let Some(command) = commands.pop() {
        let flags =
            command.get_arguments().filter(|flag| !matches!(flag.get_action(), ArgAction::Help));
        known.extend(flags.filter_map(clap::Arg::get_long).map(str::to_owned));
        commands.extend(command.get_subcommands().cloned());
    }
    let mut wrong = Vec::new();
    for page in pages() {
        let shown =
            page.code().into_iter().filter_map(|code| code.strip_prefix("--").map(str::to_owned));
        let shown = shown.filter_map(|code| code.split([' ', '=']).next().map(str::to_owned));
        wrong.extend(
            shown
                .filter(|flag| !known.contains(flag))
                .map(|flag| format!("{}: --{flag}", page.name)),
        );
    }
    assert_none(wrong);
}

/// Whether the schema has the key at the end of a path. Lists, and names that users choose, are
/// passed through.
fn has(schema: &Value, node: &Value, path: &[&str]) -> bool {
    if let Some(reference) = node["$ref"].as_str() {
        return has(
            schema,
            &schema["$defs"][reference.rsplit('/').next().unwrap_or_default()],
            path,
        );
    }
    let Some((first, rest)) = path.split_first() else { return true };
    if node["properties"].get(*first).is_some_and(|property| has(schema, property, rest)) {
        return true;
    }
    let alternatives =
        ["anyOf", "oneOf", "allOf"].iter().filter_map(|kind| node[*kind].as_array()).flatten();
    let inside = ["items", "additionalProperties"]
        .into_iter()
        .filter(|kind| node[*kind].is_object())
        .map(|kind| &node[kind]);
    alternatives.chain(inside).any(|node| has(schema, node, path))
}

#[test]
fn every_key_of_the_configuration_on_a_page_is_one() {
    let mut out = Vec::new();
    Schema {}.run(&mut out).expect("printed");
    let schema: Value = serde_json::from_slice(&out).expect("JSON");
    let is_file = |name: &str| {
        ["yaml", "json", "txt", "md", "rs", "sha256", "crt", "rdb", "db", "yml", "toml"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let is_key = |text: &str| {
        text.split('.').count() > 1
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte))
    };
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in pages() {
        for code in page.code() {
            let name = code.split(':').next().unwrap_or_default();
            if !is_key(name) || is_file(name) {
                continue;
            }
            seen += 1;
            if !has(&schema, &schema, &name.split('.').collect::<Vec<_>>()) {
                wrong.push(format!("{}: {name}", page.name));
            }
        }
    }
    assert_none(wrong);
    assert!(seen >= 60, "only {seen} keys were found");
}

#[test]
fn every_metric_on_a_page_is_shown() {
    let known: BTreeSet<&str> = Catalogue::TABLE.iter().map(|entry| entry.name).collect();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in pages() {
        for code in page.code().into_iter().filter(|code| code.starts_with("moongate_")) {
            seen += 1;
            let name = code.split('{').next().unwrap_or_default();
            if !known.contains(name) {
                wrong.push(format!("{}: {name}", page.name));
            }
        }
    }
    assert_none(wrong);
    assert!(seen >= 8, "only {seen} metrics were found");
}

#[test]
fn every_path_on_a_page_is_answered() {
    let probes = ["/livez", "/readyz", "/metrics", "/admin/v1"];
    let known: BTreeSet<&str> = Route::NAMES
        .into_iter()
        .chain(routes::TABLE.iter().map(|route| route.path))
        .chain(probes)
        .collect();
    let mut wrong = Vec::new();
    for page in pages() {
        for code in page.code() {
            let path = code
                .split(' ')
                .next_back()
                .unwrap_or_default()
                .split('?')
                .next()
                .unwrap_or_default();
            let ours = ["/api/", "/gateway/", "/admin/", "/livez", "/readyz", "/metrics"];
            if ours.iter().any(|start| path.starts_with(start)) && !known.contains(path) {
                wrong.push(format!("{}: {path}", page.name));
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn every_refusal_on_a_page_is_one() {
    let (known, mut wrong) = (codes(), Vec::new());
    for page in pages() {
        let prose = page.lines().join(" ");
        let parts: Vec<&str> = prose.split('`').collect();
        for pair in parts.chunks_exact(2) {
            let after_a_status =
                pair[0].trim_end().rsplit([' ', '(', '*']).next().is_some_and(|word| {
                    word.parse::<u16>().is_ok_and(|status| (400..600).contains(&status))
                });
            let is_code = pair[1].bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if after_a_status && is_code && !known.contains(pair[1]) {
                wrong.push(format!("{}: {}", page.name, pair[1]));
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for (path, place) in page.links() {
            seen += 1;
            if !path.exists() {
                wrong.push(format!("{}: there is no {}", page.name, path.display()));
            } else if !place.is_empty() {
                let known = PAGES
                    .into_iter()
                    .find(|name| Path::new(name).canonicalize().ok() == path.canonicalize().ok());
                if !known.is_some_and(|name| Page::read(name).anchors().contains(&place)) {
                    wrong.push(format!("{}: there is no {}#{place}", page.name, path.display()));
                }
            }
        }
    }
    assert_none(wrong);
    assert!(seen >= 30, "only {seen} links were found");
}

#[test]
fn the_readme_can_be_scanned_with_short_paragraphs() {
    const LINES_MAX: usize = 160;
    const WORDS_MAX: usize = 80;
    let readme = Page::read("README.md").text;
    assert!(readme.contains(concat!("Rust ", env!("CARGO_PKG_RUST_VERSION"), " or later")));
    let lines = readme.lines().count();
    assert!(lines <= LINES_MAX, "the README has {lines} lines");
    let mut wrong = Vec::new();
    for page in pages() {
        for paragraph in page.paragraphs() {
            let words = paragraph.split_whitespace().count();
            if words > WORDS_MAX {
                let begin: String = paragraph.chars().take(60).collect();
                wrong.push(format!("{}: {words} words: {begin}…", page.name));
            }
        }
    }
    assert_none(wrong);
}

/// Puts every value of `change` in the place of what is there.
fn overlay(base: &mut Value, change: &Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (key, value) in change {
                overlay(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, change) => *base = change.clone(),
    }
}

#[test]
fn every_configuration_example_extends_the_smallest_one() {
    let folder = tempfile::tempdir().unwrap();
    for token in ["ops-token.sha256", "watch-token.sha256"] {
        fs::write(folder.path().join(token), "0a".repeat(32)).unwrap();
    }
    for secret in ["firemoon-key", "otlp-authorization"] {
        fs::write(folder.path().join(secret), "fm-key").unwrap();
    }
    let environment = |name: &str| (name == "FIREMOON_API_KEY").then(|| "fm-key".to_owned());
    let source = folder.path().join("moongate.yaml").display().to_string();
    let smallest: Value =
        serde_saphyr::from_str(Page::read("README.md").blocks("yaml")[0]).unwrap();
    let mut seen = 0;
    for name in ["README.md", "deploy/operating.md", "deploy/redis.md"] {
        for block in Page::read(name).blocks("yaml") {
            let mut whole = smallest.clone();
            overlay(&mut whole, &serde_saphyr::from_str(block).expect(name));
            let text = whole.to_string();
            config::parse(&text, &source, &environment)
                .unwrap_or_else(|problems| panic!("{name}: {problems}\n{block}"));
            seen += 1;
        }
    }
    assert!(seen >= 6, "only {seen} pieces were found");
}
