//! A line ends at 100 characters.

use std::path::Path;

use super::source::Source;
use super::{assert_none, root, rust, tracked};

/// The most characters of a line.
const WIDTH_MAX: usize = 100;

/// Files held to the width beside those of Rust.
const ENDINGS: [&str; 4] = ["css", "html", "lua", "sh"];

#[test]
fn lines_end_at_a_hundred_characters() {
    let mut wrong = Vec::new();
    for Source { name, text, .. } in rust() {
        wrong.extend(too_long(&name, &text, |line| !is_raw_string(line)));
    }
    for path in tracked() {
        let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if name.contains("/vendor/") && !name.ends_with("vendor.mjs") {
            continue;
        }
        let is_held = |line: &str| match ending {
            // A template or a table of these is often easier to read in a wider line.
            "js" | "mjs" | "py" => is_comment(line),
            _ => true,
        };
        if ENDINGS.contains(&ending) || matches!(ending, "js" | "mjs" | "py") || is_script(&path) {
            let text = std::fs::read_to_string(&path).unwrap();
            wrong.extend(too_long(&name, &text, is_held));
        }
    }
    assert_none(wrong);
}

/// The lines of a file that are too long and could be broken.
fn too_long(name: &str, text: &str, is_held: impl Fn(&str) -> bool) -> Vec<String> {
    let is_too_long =
        |line: &str| line.chars().count() > WIDTH_MAX && is_held(line) && !is_one_word(line);
    text.lines()
        .zip(1..)
        .filter(|(line, _)| is_too_long(line))
        .map(|(line, number)| format!("{name}:{number} has {} characters", line.chars().count()))
        .collect()
}

/// An answer's golden text in a raw string, where a line break would be part of it.
fn is_raw_string(line: &str) -> bool {
    line.contains("r#\"{") && line.contains("}\"#")
}

/// A comment of its own.
fn is_comment(line: &str) -> bool {
    ["//", "/*", "*", "#"].iter().any(|start| line.trim_start().starts_with(start))
}

/// A line of one word, such as an address, cannot be broken.
fn is_one_word(line: &str) -> bool {
    let words = line.split_whitespace().filter(|word| word.contains(char::is_alphanumeric));
    words.count() == 1
}

/// A script without an ending, such as `tests/run`.
fn is_script(path: &Path) -> bool {
    path.extension().is_none()
        && std::fs::read_to_string(path).is_ok_and(|text| text.starts_with("#!"))
}

#[test]
fn only_what_cannot_be_broken_may_be_longer() {
    let words = "word ".repeat(21);
    let comment = format!("// {words}");
    let address = format!("// https://example.com/{}", "x".repeat(90));
    let golden = format!("        r#\"{{\"message\":\"{words}\"}}\"#,");
    let short = "é".repeat(100);
    let text = [&*comment, &address, &golden, &short].join("\n");
    let found = too_long("a.rs", &text, |line| !is_raw_string(line));
    assert_eq!(found, ["a.rs:1 has 108 characters"]);
}
