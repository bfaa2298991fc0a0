//! Problems of a file: each with its place, its key path, and what would be right.

use std::collections::HashMap;
use std::fmt;

use super::secrets::Digests;
use crate::printable::Printable;

/// A position in a text, counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl Position {
    /// The start of a text.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// Path of a key: `teams.design.limits`, `identity.keys[0].team`,
/// `pricing.models."v1.5".per_image`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyPath(String);

impl KeyPath {
    /// The file as a whole.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The path of a key below this one.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let dot = if self.0.is_empty() { "" } else { "." };
        let plain =
            |character: char| character.is_ascii_alphanumeric() || "_-/".contains(character);
        if !key.is_empty() && key.chars().all(plain) {
            Self(format!("{}{dot}{key}", self.0))
        } else {
            Self(format!("{}{dot}{key:?}", self.0))
        }
    }

    /// The path of an item of this list, counted from 0.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The path as text; empty for the file as a whole.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a key is this one or below it.
    fn covers(&self, other: &Self) -> bool {
        let below = other.0.strip_prefix(&self.0);
        self.0.is_empty()
            || below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    fn parent(&self) -> Option<Self> {
        let cut = self.0.rfind(['.', '['])?;
        Some(Self(self.0.get(..cut)?.to_owned()))
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the file.
    pub place: Position,
    /// The key; empty for the file as a whole.
    pub path: KeyPath,
    /// What is wrong and what would be right. Never a secret.
    pub message: String,
}

impl Problem {
    /// Key and message, for a text where the place means nothing.
    pub(super) fn text(&self) -> String {
        let path = self.path.as_str();
        if path.is_empty() { self.message.clone() } else { format!("{path}: {}", self.message) }
    }
}

/// All problems of a file in the order of its lines. Displayed as one line each.
#[derive(Clone, Debug)]
pub struct Problems {
    source: String,
    list: Vec<Problem>,
    files: Digests,
}

impl Problems {
    pub(super) fn new(source: &str, mut list: Vec<Problem>, files: Digests) -> Self {
        if list.is_empty() {
            let message = "does not fit this machine: a number in it is too large".to_owned();
            list.push(Problem { place: Position::START, path: KeyPath::root(), message });
        }
        list.sort_by(|one, other| {
            (one.place, one.path.as_str()).cmp(&(other.place, other.path.as_str()))
        });
        list.dedup();
        Self { source: source.to_owned(), list, files }
    }

    /// The problems; at least one.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// The files that were read so far: a change of any of them may fix a problem.
    pub(super) const fn files(&self) -> &Digests {
        &self.files
    }

    /// The same problems, with the files that were read.
    pub(super) fn reading(mut self, files: Digests) -> Self {
        self.files.extend(files);
        self
    }
}

impl Problem {
    /// The problem with its place in this file.
    pub(super) fn placed(&self, source: &str) -> String {
        let Self { place, path, message } = self;
        let path =
            if path.as_str().is_empty() { String::new() } else { format!("{}: ", path.as_str()) };
        // Escaped, since it quotes the file, which may be someone else's. Some messages have
        // several lines.
        let lines: Vec<String> =
            message.split('\n').map(|line| Printable::whole(line).to_string()).collect();
        format!("{source}:{}:{}: {path}{}", place.line, place.column, lines.join("\n"))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> =
            self.list.iter().map(|problem| problem.placed(&self.source)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Collects problems while a file is read. Reading goes on after each, so that one run reports all.
#[derive(Debug, Default)]
pub(super) struct Report {
    places: HashMap<KeyPath, Position>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    left_out: Vec<KeyPath>,
}

impl Report {
    /// Remembers where a key is, for problems found later.
    pub(super) fn learn(&mut self, path: &KeyPath, place: Position) {
        self.places.insert(path.clone(), place);
    }

    /// Notes that a key's value was reported and left out, so that its absence is not another
    /// problem.
    pub(super) fn leave_out(&mut self, path: &KeyPath) {
        self.left_out.push(path.clone());
    }

    /// Whether the value of a key was left out, or a part of it, or something around it.
    pub(super) fn is_left_out(&self, path: &KeyPath) -> bool {
        self.left_out.iter().any(|left_out| left_out.covers(path) || path.covers(left_out))
    }

    /// Adds a problem with a key. If the key is not in the file, its place is that of its parent.
    pub(super) fn add(&mut self, path: &KeyPath, message: impl Into<String>) {
        if self.is_left_out(path) {
            return;
        }
        let place = self.place_of(path);
        self.add_at(place, path, message);
    }

    /// Adds a problem at a place of its own.
    pub(super) fn add_at(&mut self, place: Position, path: &KeyPath, message: impl Into<String>) {
        self.problems.push(Problem { place, path: path.clone(), message: message.into() });
    }

    /// Adds a warning: valid, but probably a mistake.
    pub(super) fn warn(&mut self, path: &KeyPath, message: impl Into<String>) {
        if !self.is_left_out(path) {
            let problem =
                Problem { place: self.place_of(path), path: path.clone(), message: message.into() };
            self.warnings.push(problem);
        }
    }

    /// All problems and all warnings.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems, self.warnings)
    }

    /// All problems.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    fn place_of(&self, path: &KeyPath) -> Position {
        let mut here = Some(path.clone());
        while let Some(path) = here {
            if let Some(place) = self.places.get(&path) {
                return *place;
            }
            here = path.parent();
        }
        Position::START
    }
}
