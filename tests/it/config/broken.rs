//! A broken configuration is refused with every problem of it in one run: line, column, key, and
//! what would be right.
//!
//! `broken/good.yaml` is a good file; `broken/cases.txt` breaks it, case by case: lines with `-`
//! are replaced by those with `+`, and the lines with `>` are the problems to report, in that order
//! and nothing else.

use moongate::config;

const GOOD: &str = include_str!("broken/good.yaml");
const CASES: &str = include_str!("broken/cases.txt");
const SECRET: &str = "sk-live-do-not-show-me";

#[derive(Default)]
struct Case {
    chapter: String,
    from: String,
    to: String,
    problems: Vec<String>,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut chapter = "";
    for block in CASES.split("\n\n") {
        if let Some(name) = block.strip_prefix("== ") {
            chapter = name;
            continue;
        }
        let mut case = Case { chapter: chapter.to_owned(), ..Case::default() };
        for line in block.lines() {
            match line.split_at_checked(2) {
                Some(("- ", line)) => case.from += &format!("{line}\n"),
                Some(("+ ", line)) => case.to += &format!("{line}\n"),
                Some(("> ", line)) => case.problems.push(line.to_owned()),
                _ => panic!("not a line of a case: {line:?}"),
            }
        }
        cases.push(case);
    }
    cases
}

fn environment(variable: &str) -> Option<String> {
    match variable {
        "SHARED_KEY" => Some(SECRET.to_owned()),
        "SPACED_KEY" => Some(format!("{SECRET} {SECRET}")),
        "EMPTY" => Some("  \n".to_owned()),
        _ => None,
    }
}

#[test]
fn a_broken_file_is_reported_with_every_problem_and_fix() {
    assert!(cases().len() > 30);
    for Case { chapter, from, to, problems: expected } in cases() {
        assert_eq!(GOOD.matches(&from).count(), 1, "{chapter}: in the good file once: {from}");
        let text = GOOD.replace(&from, &to);
        let problems =
            config::parse(&text, "moongate.yaml", &environment).expect_err(&to).to_string();
        let expected: Vec<String> =
            expected.iter().map(|line| format!("moongate.yaml:{line}")).collect();
        assert_eq!(problems.lines().collect::<Vec<_>>(), expected, "{chapter}: {to}");
        assert!(!problems.contains("do-not-show"), "{problems}");
    }
}

#[test]
fn the_file_that_the_cases_break_is_good() {
    let settings = config::parse(GOOD, "moongate.yaml", &environment).expect("good");
    assert!(!format!("{settings:?}").contains("do-not-show"), "no secret is shown");
}

#[test]
fn a_missing_or_binary_file_is_reported_as_such() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("moongate.yaml");
    let expect = |expected: &str| {
        let problems = config::load(&path).expect_err(expected).to_string();
        assert_eq!(problems, expected.replace("FILE", &path.display().to_string()));
    };
    expect("FILE:1:1: FILE cannot be read: no such file");
    std::fs::write(&path, [0xff, 0xfe, 0x00]).expect("write");
    expect("FILE:1:1: FILE is not text in UTF-8");
    std::fs::write(&path, "").expect("write");
    expect("FILE:1:1: the file is empty; upstream, ledger and teams are needed");
    std::fs::write(&path, "- a\n- b\n").expect("write");
    expect("FILE:1:1: must be keys and values, not a list");
}
