//! What each figure may be: `budgets.toml` beside this file, held to a twentieth where it can be
//! compared: by the same versions of what makes a figure, on the same kind of processor. How bytes
//! are copied differs between kinds, and so do the figures.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::outcome::Outcome;

/// A figure may be so many percent above its budget.
const TOLERATED: f64 = 5.0;

/// And so many instructions, which matter to the small figure alone: it moves by some dozens when
/// the compiler nests other functions.
const TOLERATED_ANYWAY: u64 = 100;

/// The programs that make the figures what they are.
const MADE_WITH: [&str; 3] = ["rustc", "redis-server", "valgrind"];

/// What was counted.
pub struct Figure {
    pub program: &'static str,
    pub what: &'static str,
    /// Instructions of the program for each call.
    pub count: u64,
}

/// A figure of a program.
pub fn figure(program: &'static str, what: &'static str, count: u64) -> Figure {
    Figure { program, what, count }
}

/// The budgets, as they are kept.
#[derive(Deserialize)]
pub struct Budgets {
    /// The versions with which they were set, and the processor.
    made_with: BTreeMap<String, String>,
    /// Program → what → instructions a call.
    most: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Budgets {
    /// Reads them.
    ///
    /// # Errors
    /// There are none.
    pub fn read() -> Outcome<Self> {
        Ok(toml::from_str(&fs::read_to_string(file())?)?)
    }

    /// Makes what was counted the budgets, and keeps them.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn set(figures: &[Figure]) -> Outcome<Self> {
        let mut text = String::from(
            "# Instructions a call, held to 5 % by tests/run. Written by\n\
             #   cargo bench --profile dev --bench instructions -- --set-budgets\n\
             # Say in the commit what a higher one is good for.\n\n[made_with]\n",
        );
        for (what, is) in made_with() {
            writeln!(text, "{what} = {is:?}")?;
        }
        let mut of = "";
        for figure in figures {
            if figure.program != of {
                of = figure.program;
                writeln!(text, "\n[most.{of}]")?;
            }
            writeln!(text, "{:?} = {}", figure.what, figure.count)?;
        }
        fs::write(file(), text)?;
        Self::read()
    }

    /// Prints each figure beside its budget, and of those that are above it what can be done.
    /// Whether none is that can be compared.
    pub fn print(&self, figures: &[Figure]) -> bool {
        println!(
            "{:>14} {:<36} {:>14} {:>10} {:>8}",
            "", "instructions a call", "counted", "budget", ""
        );
        let mut over = Vec::new();
        for Figure { program, what, count } in figures {
            let most = self.most.get(*program).and_then(|most| most.get(*what)).copied();
            let Some(most) = most else {
                println!("{program:>14} {what:<36} {count:>14} {:>10}", "none");
                over.push(format!("{program}, {what}: there is no budget for it"));
                continue;
            };
            let more = *count as f64 / most.max(1) as f64 * 100.0 - 100.0;
            println!("{program:>14} {what:<36} {count:>14} {most:>10} {more:>+7.1} %");
            if count.abs_diff(most) <= TOLERATED_ANYWAY {
                continue;
            }
            if more > TOLERATED {
                over.push(format!(
                    "{program}, {what}: {count} instructions a call, {more:.1} % above its \
                     budget, {most}"
                ));
            } else if more < -TOLERATED {
                println!(
                    "{:>14} ^ well below its budget: set a new one, lest that is lost unnoticed",
                    ""
                );
            }
        }
        if over.is_empty() {
            return true;
        }
        println!("\n{}", self.help(&over));
        let is_comparable = made_with() == self.made_with;
        if !is_comparable {
            println!("NOT HELD: these figures cannot be compared with those budgets.");
        }
        !is_comparable
    }

    fn help(&self, over: &[String]) -> String {
        let mut text = format!("GREW  {}\n", over.join("\nGREW  "));
        for (what, now) in made_with() {
            let then = self.made_with.get(&what).map(String::as_str).unwrap_or_default();
            if now != then {
                writeln!(
                    text,
                    "Another {what} than the budgets were made with: {now}, not {then}."
                )
                .ok();
            }
        }
        text.push_str(
            "What takes them:      cargo bench --profile dev --bench instructions -- --profiles \
             FOLDER, here and on the commit\n\
             \x20                     before, then callgrind_annotate --inclusive=yes \
             FOLDER/callgrind.gateway (or another there)\n\
             A new budget, if it is worth it: cargo bench --profile dev --bench instructions -- \
             --set-budgets, and commit\n\
             \x20                     benches/instructions/budgets.toml with the reason",
        );
        text
    }
}

fn file() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "benches", "instructions", "budgets.toml"].iter().collect()
}

/// Tools whose versions change the figures.
fn made_with() -> BTreeMap<String, String> {
    let programs = MADE_WITH.map(|program| (program.to_owned(), version(program)));
    programs.into_iter().chain([("processor".to_owned(), processor())]).collect()
}

/// The kind of processor, by the numbers that its maker gives to kinds.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim()).unwrap_or_default()
    };
    format!("{}, family {}, model {}", value("vendor_id"), value("cpu family"), value("model"))
}

/// The first line that a program says of its version, without what differs between builds of the
/// same.
fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let mut words = text.split_whitespace();
    let numbered = words.find(|word| word.contains(|letter: char| letter.is_ascii_digit()));
    numbered.unwrap_or_default().trim_start_matches("v=").trim_start_matches("valgrind-").to_owned()
}
