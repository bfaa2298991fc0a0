//! One page of the documentation, taken apart: its code, its prose, its headings and its links.

use std::fs;
use std::path::{Path, PathBuf};

/// The pages that users read, from the top of the repository.
pub(super) const PAGES: [&str; 13] = [
    "README.md",
    ".github/CONTRIBUTING.md",
    ".github/SECURITY.md",
    "deploy/README.md",
    "deploy/backup.md",
    "deploy/calling.md",
    "deploy/first-minutes.md",
    "deploy/kubernetes/README.md",
    "deploy/monitoring.md",
    "deploy/operating.md",
    "deploy/redis.md",
    "deploy/runbook.md",
    "src/simulator/README.md",
];

/// A page and what is written on it.
pub(super) struct Page {
    pub(super) name: &'static str,
    pub(super) text: String,
}

impl Page {
    pub(super) fn read(name: &'static str) -> Self {
        Self { name, text: fs::read_to_string(name).expect(name) }
    }

    /// The blocks of one language, such as `sh`.
    pub(super) fn blocks(&self, language: &str) -> Vec<&str> {
        let begin = format!("```{language}\n");
        let blocks = self.text.split(&begin).skip(1);
        blocks.map(|rest| rest.split("```").next().unwrap_or_default()).collect()
    }

    /// The lines outside blocks.
    pub(super) fn lines(&self) -> Vec<&str> {
        let mut is_block = false;
        let mut lines = Vec::new();
        for line in self.text.lines() {
            let is_fence = line.trim_start().starts_with("```");
            is_block ^= is_fence;
            lines.push(if is_fence || is_block { "" } else { line });
        }
        lines
    }

    /// What stands between backticks in a line; code that goes over the end of a line is joined.
    pub(super) fn code(&self) -> Vec<String> {
        let prose = self.lines().join(" ");
        prose
            .split('`')
            .skip(1)
            .step_by(2)
            .map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// Paragraphs of prose: each item of a list by itself, tables and headings left out.
    pub(super) fn paragraphs(&self) -> Vec<String> {
        let mut paragraphs = vec![String::new()];
        for line in self.lines() {
            let begins = line.starts_with("- ")
                || line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
            if line.trim().is_empty() || line.starts_with(['|', '#']) || begins {
                paragraphs.push(String::new());
            }
            if let (Some(last), false) = (paragraphs.last_mut(), line.starts_with(['|', '#'])) {
                last.push_str(line);
                last.push(' ');
            }
        }
        paragraphs
    }

    /// The names that a link can give to a place on this page.
    pub(super) fn anchors(&self) -> Vec<String> {
        let headings = self.lines().into_iter().filter(|line| line.starts_with('#'));
        headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
    }

    /// The targets of the links that lead to files here: a path, and a place on it.
    pub(super) fn links(&self) -> Vec<(PathBuf, String)> {
        let prose = self.lines().join("\n");
        let folder = Path::new(self.name).parent().unwrap_or(Path::new(""));
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let here = targets.filter(|target| !target.contains("://"));
        here.map(|target| match target.split_once('#') {
            Some(("", place)) => (PathBuf::from(self.name), place.to_owned()),
            Some((path, place)) => (folder.join(path), place.to_owned()),
            None => (folder.join(target), String::new()),
        })
        .collect()
    }
}

/// The anchor that GitHub makes: lower case, no punctuation, hyphens for spaces.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}
