//! A function fits on a screen.

use super::source::{Source, end_of_block};
use super::{assert_none, rust};

/// The most lines of a function, its first and its last included.
const LINES_MAX: usize = 70;

#[test]
fn no_function_is_too_long_to_see_at_once() {
    let long = |source: &Source| -> Vec<String> {
        functions_of(&source.code)
            .into_iter()
            .filter(|function| function.lines > LINES_MAX && !function.is_table)
            .map(|Function { name, lines, .. }| format!("{}: {name}: {lines} lines", source.name))
            .collect()
    };
    assert_none(rust().iter().flat_map(long).collect());
}

struct Function<'a> {
    name: &'a str,
    lines: usize,
    /// Whether it only says something of each case, and so is as long as there are cases.
    is_table: bool,
}

/// The functions of this code, those within others and in macros included.
fn functions_of(code: &str) -> Vec<Function<'_>> {
    let starts = code.match_indices("fn ").map(|(start, _)| start);
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    starts
        .filter(|start| !code[..*start].ends_with(is_word))
        .filter_map(|start| {
            let name = code[start + 3..].split(|letter| !is_word(letter)).next()?;
            let before_body = code[start..].find(['{', ';'])?;
            let body = code[start + before_body..].strip_prefix('{')?;
            let body = &body[..end_of_block(body)];
            let head = code[start..start + before_body].matches('\n').count();
            Some(Function {
                name,
                lines: head + body.matches('\n').count() + 1,
                is_table: is_table(body),
            })
        })
        .collect()
}

/// Whether a body is one `match`, but for what it brings into scope and one line at its end.
fn is_table(body: &str) -> bool {
    let Some((before, rest)) = body.split_once("match ") else { return false };
    let Some((_, cases)) = rest.split_once('{') else { return false };
    let after = cases.get(end_of_block(cases) + 1..).unwrap_or_default();
    let is_first = before
        .lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with("use ") || line.starts_with("let "));
    is_first && after.lines().filter(|line| !line.trim_matches([' ', ';']).is_empty()).count() <= 1
}

#[test]
fn a_function_counts_from_its_first_line_to_its_last() {
    let code = "
        fn short() { b'{'; }
        fn declared(a: u8) -> u8;
        pub(super) async fn of_four<T>(
            one: T,
        ) -> T {
            one }
        fn table(of: Case) -> u8 {
            use Case::{A, B};
            match of {
                A => 1,
                B => 2,
            }
        }
    ";
    let source = Source::new("src/a.rs".to_owned(), code.to_owned());
    let found: Vec<_> = functions_of(&source.code)
        .iter()
        .map(|Function { name, lines, is_table }| (*name, *lines, *is_table))
        .collect();
    assert_eq!(found, [("short", 1, false), ("of_four", 4, false), ("table", 7, true)]);
}
