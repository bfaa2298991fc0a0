//! The README says what the product does: its configuration loads, and every route, refusal and command is in it.

use std::process::Command;

use moongate::config;
use moongate::request::Route;

fn readme() -> String {
    std::fs::read_to_string("README.md").unwrap()
}

#[test]
fn the_smallest_configuration_of_the_readme_is_a_whole_one() {
    let readme = readme();
    let (_, from_block) = readme.split_once("```yaml\n").unwrap();
    let (text, _) = from_block.split_once("```").unwrap();
    let environment = |name: &str| (name == "FIREMOON_API_KEY").then(|| "fm-key".to_owned());
    config::parse(text, "README.md", &environment).unwrap_or_else(|problems| panic!("{problems}"));
}

#[test]
fn every_route_and_every_refusal_is_in_the_readme() {
    let readme = readme();
    for route in Route::NAMES {
        assert!(readme.contains(route), "{route}");
    }
    let golden = include_str!("../../src/refusal/golden.txt");
    let codes = golden.split("\"code\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    for code in codes {
        assert!(readme.contains(&format!("`{code}`")), "{code}");
    }
}

#[test]
fn every_command_is_in_the_readme() {
    let help = Command::new(env!("CARGO_BIN_EXE_moongate")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let lines = commands.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let readme = readme();
    let mut seen = 0;
    for name in names {
        assert!(readme.contains(&format!("moongate {name}")) || readme.contains(&format!("-- {name}")), "{name}");
        seen += 1;
    }
    assert!(seen >= 8, "{help}");
}
