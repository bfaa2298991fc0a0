//! A file of the source as the rules see it: its code without comments and texts, and every path that the code names.

use std::path::Path;

/// One file.
pub(super) struct Source {
    /// From the root of the repository, `src/upstream/wire.rs`.
    pub(super) name: String,
    pub(super) text: String,
    /// The code alone: comments, string and character literals are blank.
    pub(super) code: String,
    /// Every path the code names, whole and without what it is called here: `crate::team::TeamId`, `redis::Client`.
    pub(super) paths: Vec<String>,
}

impl Source {
    pub(super) fn read(root: &Path, path: &Path) -> Self {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(path).unwrap();
        Self::new(name, text)
    }

    pub(super) fn new(name: String, text: String) -> Self {
        let code = code_of(&text);
        let place = place_of(&name);
        let (mut imports, rest) = imports_of(&code);
        for import in &mut imports {
            import.path = absolute(&import.path, &place);
        }
        let inline = words_of(&rest).filter(|word| word.contains("::")).map(|word| {
            let (first, after) = word.split_once("::").unwrap();
            match imports.iter().find(|import| import.name == first) {
                Some(import) => format!("{}::{after}", import.path),
                None => absolute(word, &place),
            }
        });
        let paths = imports.iter().map(|import| import.path.clone()).chain(inline).collect();
        Self { name, text, code, paths }
    }

    /// The room or small word that the file belongs to: `upstream`, `clock`; `main` and `lib` are such words too.
    pub(super) fn room(&self) -> &str {
        let below = self.name.strip_prefix("src/").unwrap_or(&self.name);
        let first = below.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether a path is, or begins with, this one, segment by segment.
    pub(super) fn paths_into<'a>(&'a self, start: &'a str) -> impl Iterator<Item = &'a String> {
        self.paths
            .iter()
            .filter(move |path| path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
    }
}

/// The modules that a file's own paths start from: `src/upstream/wire.rs` is `[upstream, wire]`.
fn place_of(name: &str) -> Vec<&str> {
    let Some(below) = name.strip_prefix("src/") else { return Vec::new() };
    let mut place: Vec<&str> = below.trim_end_matches(".rs").split('/').collect();
    if place.last().is_some_and(|last| ["mod", "lib", "main"].contains(last)) {
        place.pop();
    }
    place
}

/// A path that starts with `self` or `super`, as it is seen from the root of the crate.
fn absolute(path: &str, place: &[&str]) -> String {
    let mut here = place.to_vec();
    let mut segments = path.split("::").peekable();
    let mut relative = false;
    while let Some(first @ ("self" | "super")) = segments.peek().copied() {
        relative = true;
        if first == "super" {
            here.pop();
        }
        segments.next();
    }
    if !relative {
        return path.to_owned();
    }
    ["crate"].into_iter().chain(here).chain(segments).collect::<Vec<_>>().join("::")
}

/// What a `use` line brings in.
struct Import {
    path: String,
    /// What it is called here.
    name: String,
}

/// All that `use` lines bring in, unfolded, and the code without these lines.
fn imports_of(code: &str) -> (Vec<Import>, String) {
    let mut imports = Vec::new();
    let mut rest = String::new();
    for (place, statement) in code.split(';').enumerate() {
        let separator = if place == 0 { "" } else { ";" };
        rest.push_str(separator);
        match use_of(statement) {
            Some((before, tree)) => {
                rest.push_str(before);
                let tree: String = tree.split_whitespace().collect::<Vec<_>>().join(" ");
                unfold("", &tree, &mut imports);
            }
            None => rest.push_str(statement),
        }
    }
    (imports, rest)
}

/// What stands before a `use` line, and its tree.
fn use_of(statement: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(found) = statement[from..].find("use ") {
        let start = from + found;
        let free = statement[..start].chars().next_back().is_none_or(|before| !is_word(before) && before != ':');
        if free {
            return Some((&statement[..start], &statement[start + 4..]));
        }
        from = start + 4;
    }
    None
}

/// `a::{b, c::{d as e}}` is `a::b` and `a::c::d`.
fn unfold(before: &str, tree: &str, imports: &mut Vec<Import>) {
    let tree = tree.trim();
    let Some((start, inner)) = tree.split_once('{') else {
        let (named, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
        let path = format!("{before}{}", named.trim()).trim_end_matches("::self").to_owned();
        let name = if alias.is_empty() { path.rsplit("::").next().unwrap() } else { alias.trim() }.to_owned();
        imports.push(Import { path, name });
        return;
    };
    let inner = inner.rsplit_once('}').expect("a group ends").0;
    let before = format!("{before}{}", start.trim());
    let (mut depth, mut from) = (0, 0);
    for (at, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inner[from..at].trim().is_empty() {
                    unfold(&before, &inner[from..at], imports);
                }
                from = at + 1;
            }
            _ => {}
        }
    }
}

fn words_of(code: &str) -> impl Iterator<Item = &str> {
    code.split(|letter: char| !is_word(letter) && letter != ':').map(|word| word.trim_matches(':'))
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// The code with comments, strings and characters blanked; lines stay where they are.
fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// Where the comment or literal that starts here ends; `at` itself when none does.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let after_word = at > 0 && is_word(char::from(bytes[at - 1]));
    let find = |needle: &[u8], from: usize| {
        rest[from..]
            .windows(needle.len())
            .position(|part| part == needle)
            .map_or(bytes.len(), |place| at + from + place)
    };
    if rest.starts_with(b"//") {
        return find(b"\n", 2);
    }
    if rest.starts_with(b"/*") {
        return (find(b"*/", 2) + 2).min(bytes.len());
    }
    let hashes = rest.iter().skip(1).take_while(|byte| **byte == b'#').count();
    if rest[0] == b'r' && !after_word_but_b(bytes, at) && rest.get(1 + hashes) == Some(&b'"') {
        let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
        return (find(&end, 2 + hashes) + end.len()).min(bytes.len());
    }
    match rest {
        [b'"', ..] => escaped_end(bytes, at, b'"'),
        // A character, and not a lifetime.
        [b'\'', b'\\', ..] => escaped_end(bytes, at, b'\''),
        [b'\'', _, b'\'', ..] if !after_word => at + 3,
        _ => at,
    }
}

fn after_word_but_b(bytes: &[u8], at: usize) -> bool {
    at > 0 && is_word(char::from(bytes[at - 1])) && bytes[at - 1] != b'b'
}

fn escaped_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

#[test]
fn the_rules_see_every_path_and_nothing_else() {
    let text = r##"
        //! use redis::Comment;
        use std::{fmt, sync::{Arc, atomic::{AtomicBool as Flag, Ordering}}};
        pub use super::wire::{self, Wire};
        fn f<'a>(x: &'a str) -> char { crate::team::TeamId::parse("use redis::Text;"); let _ = r#"redis::"Raw"#; '"' }
        fn g() { wire::exchange(); redis::cmd(); }
        mod tests { use super::super::config; /* prometheus::Block */ }
    "##;
    let source = Source::new("src/upstream/forward.rs".to_owned(), text.to_owned());
    assert_eq!(
        source.paths,
        [
            "std::fmt",
            "std::sync::Arc",
            "std::sync::atomic::AtomicBool",
            "std::sync::atomic::Ordering",
            "crate::upstream::wire",
            "crate::upstream::wire::Wire",
            "crate::config",
            "crate::team::TeamId::parse",
            "crate::upstream::wire::exchange",
            "redis::cmd",
        ]
    );
    assert_eq!(source.room(), "upstream");
}
