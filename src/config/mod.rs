//! Configuration: text → shapes ([`mod@file`]) → valid settings ([`settings`], made by `check`) →
//! reload ([`watch`]).
//!
//! Reading order: [`mod@file`] has the keys; `tree` parses the text and keeps every value's place;
//! `structure` compares the tree with [`schema`]; `check` makes [`Settings`]; [`report`] collects
//! problems, and `explain` words them. No step stops at its first problem, so that one run reports
//! all. [`address`] checks hosts, ports and paths, also for the command line. Secrets come in only
//! through `secrets`.

pub mod address;
pub mod changes;
mod check;
mod explain;
pub mod file;
mod limits;
pub mod report;
pub mod schema;
mod secrets;
pub mod settings;
mod structure;
mod tree;
mod units;
pub mod watch;

use std::path::Path;

use check::Check;
use file::File;
use report::{KeyPath, Position, Problem, Report};
use secrets::{Digests, Sources};
use tree::Node;

pub use changes::{Change, changes};
pub use limits::read_limits;
pub use report::Problems;
pub use settings::{FixedSettings, LiveSettings, Settings};
pub use units::duration;

/// Reads the file at `path`. References to environment variables are resolved in the process's
/// environment.
///
/// # Errors
/// Every problem with the file, none of them naming a secret.
pub fn load(path: &Path) -> Result<Settings, Problems> {
    read(path, false)
}

/// Reads the file where the secrets are not at hand: each is accepted unread. For a check only,
/// never to serve with.
///
/// # Errors
/// As for [`load`].
pub fn load_without_secrets(path: &Path) -> Result<Settings, Problems> {
    read(path, true)
}

fn read(path: &Path, without_secrets: bool) -> Result<Settings, Problems> {
    let source = path.display().to_string();
    let environment = |variable: &str| std::env::var(variable).ok();
    let mut itself = Sources::beside(path, &environment);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let text = itself.content(name).and_then(|(_, content)| {
        String::from_utf8(content.to_vec()).map_err(|_| format!("{source} is not text in UTF-8"))
    });
    let read = match text {
        Ok(text) => {
            let sources = Sources::beside(path, &environment).without_secrets(without_secrets);
            parse_from(&text, &source, sources)
        }
        Err(message) => Err(whole_file(&source, Position::START, message)),
    };
    let itself = itself.into_digests();
    match read {
        Ok(settings) => Ok(settings.reading(itself)),
        Err(problems) => Err(problems.reading(itself)),
    }
}

/// Reads a text as if it were the file `source`: its paths are relative to that file's folder.
/// `environment` resolves references to environment variables.
///
/// # Errors
/// Every problem with the text, none of them naming a secret.
pub fn parse(
    text: &str,
    source: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, Problems> {
    parse_from(text, source, Sources::beside(Path::new(source), environment))
}

fn parse_from(text: &str, source: &str, sources: Sources<'_>) -> Result<Settings, Problems> {
    let tree = Node::read(text).map_err(|wrong| whole_file(source, wrong.place, wrong.message))?;
    let mut report = Report::default();
    let fitting = structure::fitting(&tree, &schema::whole(), &mut report);
    let file: File = match serde_json::from_value(fitting) {
        Ok(file) => file,
        Err(error) => {
            report.add(&KeyPath::root(), format!("cannot be read: {error}"));
            return Err(Problems::new(source, report.into_problems(), Digests::new()));
        }
    };
    let mut check = Check::new(&file, report, sources);
    let settings = check.settings(file);
    let ((problems, mut warnings), files) =
        (check.report.into_parts(), check.sources.into_digests());
    warnings.sort_by_key(|warning| warning.place);
    let warnings = warnings.iter().map(|warning| warning.placed(source)).collect();
    match settings {
        Some(settings) if problems.is_empty() => {
            Ok(Settings { warnings, named: files.clone(), ..settings }.reading(files))
        }
        Some(_) | None => Err(Problems::new(source, problems, files)),
    }
}

fn whole_file(source: &str, place: Position, message: String) -> Problems {
    Problems::new(source, vec![Problem { place, path: KeyPath::root(), message }], Digests::new())
}
