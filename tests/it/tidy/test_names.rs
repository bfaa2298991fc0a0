//! The name of a test is a short sentence.

use super::source::{Source, end_of_block};
use super::{assert_none, rust};

/// The most words of a name.
const WORDS_MAX: usize = 10;

#[test]
fn test_names_have_at_most_ten_words() {
    let long = |source: &Source| -> Vec<String> {
        tests_of(&source.code)
            .into_iter()
            .filter(|name| name.split('_').count() > WORDS_MAX)
            .map(|name| format!("{}: {name}", source.name))
            .collect()
    };
    assert_none(rust().iter().flat_map(long).collect());
}

/// The names of all tests in this code: those with an attribute, those in `proptest!`, and those
/// that a macro makes a test of for each bench or store.
fn tests_of(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for attribute in ["#[test]", "#[tokio::test"] {
        names.extend(code.split(attribute).skip(1).filter_map(function));
    }
    for block in code.split("proptest! {").skip(1) {
        let functions = block[..end_of_block(block)].split("fn ").skip(1);
        names.extend(functions.map(|rest| rest.split('(').next().unwrap_or_default()));
    }
    for (before, after) in code.match_indices("<B: Bench>(").map(|(at, _)| code.split_at(at)) {
        let name = before.rsplit("fn ").next().unwrap_or_default();
        // A helper takes something; a test takes nothing.
        if after.starts_with("<B: Bench>()") {
            names.push(name);
        }
    }
    names
}

/// The name of the first function in this code; `None` where a macro names it.
fn function(code: &str) -> Option<&str> {
    let (_, after) = code.split_once("fn ")?;
    after.split(['(', '<']).next().filter(|name| !name.starts_with('$'))
}

#[test]
fn the_tests_of_a_file_are_found_by_name() {
    let code = "
        #[test]
        #[allow(clippy::panic)]
        fn one_word() {}
        #[tokio::test(flavor = \"multi_thread\")]
        async fn two_words_more() {}
        pub(crate) async fn of_each_bench<B: Bench>() {}
        async fn helper<B: Bench>(bench: B) {}
        #[tokio::test]
        async fn $case() {}
        mod tests {
            proptest! {
                fn any_number(number in 0..9) {}
            }
        }
        fn no_test() {}
";
    let mut found = tests_of(code);
    found.sort_unstable();
    assert_eq!(found, ["any_number", "of_each_bench", "one_word", "two_words_more"]);
}
