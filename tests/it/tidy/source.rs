//! A source file as the rules see it: its code without comments and texts, and every path that the
//! code names.

use std::path::Path;

/// One file.
pub(super) struct Source {
    /// The path from the root of the repository, `src/upstream/wire.rs`.
    pub(super) name: String,
    pub(super) text: String,
    /// The code alone: comments, string and character literals are blank.
    pub(super) code: String,
    /// Every path the code names, whole and without what it is called here: `crate::team::TeamId`,
    /// `redis::Client`.
    pub(super) paths: Vec<String>,
    /// The same without what it only shows to others under its own name.
    pub(super) needs: Vec<String>,
    /// What its own `use` lines bring in, those of modules within it left out.
    pub(super) imports: Vec<Import>,
}

impl Source {
    pub(super) fn read(root: &Path, path: &Path) -> Self {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(path).unwrap();
        Self::new(name, text)
    }

    pub(super) fn new(name: String, text: String) -> Self {
        let code = code_of(&text);
        let mut source =
            Self { name, text, code, paths: Vec::new(), needs: Vec::new(), imports: Vec::new() };
        let place = place_of(&source.name);
        source.imports = source.read_module(&place, &source.code.clone(), &[]);
        source
    }

    /// Notes what a module of the file names, and the modules within it; says what it imports.
    fn read_module(&mut self, place: &[String], code: &str, outside: &[Import]) -> Vec<Import> {
        let (own, inside) = without_modules(code);
        let (mut imports, rest) = imports_of(&own);
        for import in &mut imports {
            import.path = absolute(&import.path, place);
        }
        let words: Vec<&str> = words_of(&rest).collect();
        let is_used = |import: &Import| {
            words.iter().any(|word| word.split("::").next() == Some(&import.name))
        };
        let needed = imports.iter().filter(|import| !import.is_shown || is_used(import));
        let inline: Vec<String> = words
            .iter()
            .filter(|word| word.contains("::"))
            .map(|word| {
                let (first, after) = word.split_once("::").unwrap();
                match imports.iter().chain(outside).find(|import| import.name == first) {
                    Some(import) => format!("{}::{after}", import.path),
                    None => absolute(word, place),
                }
            })
            .collect();
        self.needs.extend(needed.map(|import| import.path.clone()).chain(inline.iter().cloned()));
        self.paths.extend(imports.iter().map(|import| import.path.clone()).chain(inline));
        for (name, code) in inside {
            self.read_module(&[place, &[name]].concat(), &code, &imports);
        }
        imports
    }

    /// Where it stands among the modules of its crate: `crate::upstream::wire`.
    pub(super) fn module(&self) -> String {
        ["crate".to_owned()].into_iter().chain(place_of(&self.name)).collect::<Vec<_>>().join("::")
    }

    /// Modules of its own whose files stand elsewhere (`#[path = "…"]`): their names, and the
    /// files.
    pub(super) fn modules_elsewhere(&self) -> Vec<(String, String)> {
        let folder = self.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let declared = self.text.split("#[path = \"").skip(1).filter_map(|rest| {
            let (path, after) = rest.split_once("\"]\n")?;
            let name = after.split("mod ").nth(1)?.split(';').next()?;
            let mut parts: Vec<&str> = folder.split('/').collect();
            for part in path.split('/') {
                if part == ".." {
                    parts.pop();
                } else {
                    parts.push(part);
                }
            }
            Some((format!("{}::{name}", self.module()), parts.join("/")))
        });
        declared.collect()
    }

    /// The room or small word that the file belongs to: `upstream`, `clock`; `main` and `lib` are
    /// such words too.
    pub(super) fn room(&self) -> &str {
        let below = self.name.strip_prefix("src/").unwrap_or(&self.name);
        let first = below.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether a path is, or begins with, this one, segment by segment.
    pub(super) fn paths_into<'a>(&'a self, start: &'a str) -> impl Iterator<Item = &'a String> {
        self.paths.iter().filter(move |path| {
            path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
    }
}

/// The modules that a file's own paths start from: `src/upstream/wire.rs` is `[upstream, wire]`,
/// the tests beside it in `wire_tests.rs` are `[upstream, wire, tests]`.
fn place_of(name: &str) -> Vec<String> {
    let crates = [
        "src/",
        "tests/it/",
        "benches/instructions/",
        "benches/ledger_store/",
        "benches/whole_process/",
    ];
    let Some(below) = crates.iter().find_map(|root| name.strip_prefix(root)) else {
        return Vec::new();
    };
    let mut place: Vec<String> =
        below.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    match place.last().map(String::as_str) {
        Some("mod" | "lib" | "main") => drop(place.pop()),
        Some(last) if BESIDE.contains(&last) => {}
        Some(last) if last.ends_with("_tests") => {
            let of = last.trim_end_matches("_tests").to_owned();
            place.pop();
            place.extend([of, "tests".to_owned()]);
        }
        Some(_) | None => {}
    }
    place
}

/// Tests in a file of their own that is a module beside others, of no single one of them.
const BESIDE: [&str; 1] = ["calls_tests"];

/// A path that starts with `self` or `super`, as it is seen from the root of the crate.
fn absolute(path: &str, place: &[String]) -> String {
    let mut here: Vec<&str> = place.iter().map(String::as_str).collect();
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
pub(super) struct Import {
    pub(super) path: String,
    /// What it is called here.
    pub(super) name: String,
    /// Whether others can name it here as well.
    is_shown: bool,
}

/// The code without the modules that are written out in it, and these by their names.
fn without_modules(code: &str) -> (String, Vec<(String, String)>) {
    let (mut own, mut inside, mut rest) = (String::new(), Vec::new(), code);
    while let Some((before, name, after)) = next_module(rest) {
        let end = end_of_block(after);
        own.push_str(before);
        own.push(';');
        inside.push((name.to_owned(), after[..end].to_owned()));
        rest = after.get(end + 1..).unwrap_or_default();
    }
    own.push_str(rest);
    (own, inside)
}

/// Where a block ends whose opening brace stands just before this code.
pub(super) fn end_of_block(code: &str) -> usize {
    let mut depth = 1;
    let end = code.find(|letter| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        depth == 0
    });
    end.unwrap_or(code.len())
}

/// What stands before the next `mod name {`, the name, and what follows.
fn next_module(code: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(found) = code[from..].find("mod ") {
        let start = from + found;
        from = start + 4;
        let is_word_of_its_own = !code[..start].ends_with(is_word);
        let name = code[from..].split(|letter| !is_word(letter)).next().unwrap();
        if let Some(after) =
            code[from + name.len()..].trim_start().strip_prefix('{').filter(|_| is_word_of_its_own)
        {
            return Some((&code[..start], name, after));
        }
    }
    None
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
                let shown_from = imports.len();
                rest.push_str(before);
                let tree: String = tree.split_whitespace().collect::<Vec<_>>().join(" ");
                unfold("", &tree, &mut imports);
                let is_shown =
                    before.trim_end().ends_with("pub") || before.trim_end().ends_with(')');
                imports[shown_from..].iter_mut().for_each(|import| import.is_shown = is_shown);
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
        let free = statement[..start]
            .chars()
            .next_back()
            .is_none_or(|before| !is_word(before) && before != ':');
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
        let name = if alias.is_empty() { path.rsplit("::").next().unwrap() } else { alias.trim() }
            .to_owned();
        imports.push(Import { path, name, is_shown: false });
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
        [b'\'', _, b'\'', ..] if !after_word_but_b(bytes, at) => at + 3,
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
        fn f<'a>(x: &'a str) -> char {
            crate::team::TeamId::parse("use redis::Text;"); let _ = r#"redis::"Raw"#; '"'
        }
        fn g() { wire::exchange(); redis::cmd(); }
        mod tests { use super::super::super::config; /* prometheus::Block */ }
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
            "crate::team::TeamId::parse",
            "crate::upstream::wire::exchange",
            "redis::cmd",
            "crate::config",
        ]
    );
    assert_eq!(source.room(), "upstream");
}
