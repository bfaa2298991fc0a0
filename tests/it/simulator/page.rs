//! The simulator's page has every fault, every field and every request, and what it prints can
//! be sent.

use std::collections::BTreeSet;
use std::process::Command;

use http::Method;
use serde_json::{Value, json};

use super::client::{settings, start};

fn page() -> String {
    std::fs::read_to_string("src/simulator/README.md").expect("the page")
}

/// What is in backticks in the first column of the tables of a section.
fn first_column(heading: &str) -> BTreeSet<String> {
    let page = page();
    let (_, section) = page.split_once(heading).expect(heading);
    let section = section.split("\n#").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
}

/// The names in backticks of an error of serde: what would have been right.
fn expected(error: &str) -> BTreeSet<String> {
    let (_, names) = error.split_once("expected one of").expect("names");
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_has_exactly_every_fault_and_field() {
    let firemoon = start(settings()).await;
    let refused = firemoon.put("/_simulator/faults", r#"[{"fault":"none"}]"#).await.json();
    let on_the_page: BTreeSet<String> = ["### In place of the call", "### To a call that has run"]
        .into_iter()
        .flat_map(first_column)
        .collect();
    assert_eq!(on_the_page, expected(refused["errors"][0].as_str().unwrap()));

    let refused = firemoon.put("/_simulator/faults", r#"[{"fault":"nsfw","none":1}]"#).await.json();
    assert_eq!(
        first_column("### What a fault can say"),
        expected(refused["errors"][0].as_str().unwrap())
    );
    let rule = first_column("### Which calls a rule fits").into_iter().map(|field| {
        let value = if field == "times" { json!(1) } else { json!("x") };
        (field, value)
    });
    let mut rule: serde_json::Map<String, Value> = rule.collect();
    assert_eq!(rule.len(), 6, "a field that is not on the page");
    rule.insert("fault".to_owned(), json!("nsfw"));
    let taken = firemoon.put("/_simulator/faults", &json!([rule]).to_string()).await;
    assert_eq!(taken.status, 200, "{}", taken.text());

    let key = firemoon.put("/_simulator/keys/test", r#"{"none":1}"#).await.json();
    for field in expected(key["errors"][0].as_str().unwrap()) {
        assert!(page().contains(&format!("`{field}`")), "{field}");
    }
}

#[tokio::test]
async fn every_request_and_every_example_of_the_page_is_taken() {
    let firemoon = start(settings()).await;
    let requests = first_column("## Control");
    assert!(requests.len() >= 7, "{requests:?}");
    for request in &requests {
        let (method, path) = request.split_once(' ').unwrap();
        let body = if path.ends_with("faults") { "[]" } else { "{}" };
        let method: Method = method.parse().unwrap();
        let answer = firemoon.call(method, &path.replace("NAME", "test"), &[], body).await;
        assert_eq!(answer.status, 200, "{request}: {}", answer.text());
    }
    let page = page();
    let rules = page.split("-d '").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    assert_eq!(firemoon.put("/_simulator/faults", rules).await.status, 200);
    for header in page.lines().filter_map(|line| line.strip_prefix("x-simulator-fault: ")) {
        // Shortens the time, so that nobody waits for it.
        let header = header.replace("=45s", "=1ms");
        assert_eq!(firemoon.spoilt(&header).await.unwrap().status, 200, "{header}");
    }
}

#[test]
fn the_commands_help_explains_faults_and_lists_them() {
    let help =
        Command::new(env!("CARGO_BIN_EXE_moongate")).args(["simulate", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for request in first_column("## Control") {
        let (method, path) = request.split_once(' ').unwrap();
        let shown = help.lines().any(|line| line.contains(method) && line.contains(path));
        assert!(shown, "{request}");
    }
    assert!(
        help.contains("x-simulator-fault: ") && help.contains("src/simulator/README.md"),
        "{help}"
    );
}
