//! Audit log: one line per change by an operator or by the configuration file, with state before
//! and after, one per change that an operator was refused, and one per wrong token. Never a secret.
//!
//! The lines bypass the log filter, so no level switches them off. In JSON their `event` is
//! `admin_change`, `config_change`, `admin_change_refused` or `admin_refused`.

use std::fmt::Write as _;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use super::json_line::JsonLine;
use super::logs::Form;
use super::sink::Sink;
use crate::printable::{self, Printable};
use crate::request::RequestId;

/// The audit log. Clones write to the same sink.
#[derive(Clone, Debug)]
pub struct AuditLog {
    sink: Option<Sink>,
    form: Form,
}

/// A change.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Time.
    pub at: Timestamp,
    /// The request.
    pub id: &'a RequestId,
    /// The operator: the name of the token.
    pub operator: &'a str,
    /// The action.
    pub action: &'static str,
    /// What was changed: `team design`.
    pub subject: &'a str,
    /// State before.
    pub before: &'a Value,
    /// State after.
    pub after: &'a Value,
    /// Whether the change is known to be made; unknown when the store stopped answering.
    pub is_certain: bool,
}

/// A refused change of an operator.
#[derive(Debug)]
pub struct Denied<'a> {
    /// Time.
    pub at: Timestamp,
    /// The request.
    pub id: &'a RequestId,
    /// The operator: the name of the token.
    pub operator: &'a str,
    /// The action.
    pub action: &'static str,
    /// The requested path, which names the subject.
    pub path: &'a str,
    /// Code of the refusal.
    pub code: &'static str,
    /// Address of the caller.
    pub from: IpAddr,
}

/// A change of the configuration by its file.
#[derive(Debug)]
pub struct FileChange<'a> {
    /// Time.
    pub at: Timestamp,
    /// What was changed: `team design`.
    pub subject: &'a str,
    /// The differing members before the change.
    pub before: &'a Value,
    /// The same members after it.
    pub after: &'a Value,
}

/// A caller with a wrong operator's token.
#[derive(Debug)]
pub struct Stranger<'a> {
    /// Time.
    pub at: Timestamp,
    /// The request.
    pub id: &'a RequestId,
    /// Address of the caller.
    pub from: IpAddr,
}

impl Entry<'_> {
    const fn result(&self) -> &'static str {
        if self.is_certain { "done" } else { "unknown" }
    }
}

impl AuditLog {
    /// Writes lines in this format to this sink.
    #[must_use]
    pub const fn new(sink: Sink, form: Form) -> Self {
        Self { sink: Some(sink), form }
    }

    /// Writes nothing, for a gateway without operators.
    #[must_use]
    pub const fn off() -> Self {
        Self { sink: None, form: Form::Json }
    }

    /// Writes a change.
    pub fn write(&self, entry: &Entry<'_>) {
        let Some(sink) = &self.sink else { return };
        match self.form {
            Form::Json => sink.append(&json(entry)),
            Form::Text => sink.append(text(entry).as_bytes()),
        }
    }

    /// Writes a change that was refused.
    pub fn denied(&self, denied: &Denied<'_>) {
        let Some(sink) = &self.sink else { return };
        let Denied { at, id, operator, action, path, code, from } = denied;
        match self.form {
            Form::Json => {
                let mut line = JsonLine::new(*at, "warn", "an operator's change was refused");
                line.text("event", "admin_change_refused");
                line.text("request_id", id.as_str());
                line.text("operator", operator);
                line.text("action", action);
                line.text("path", path);
                line.text("code", code);
                line.address("from", *from);
                sink.append(&line.end());
            }
            Form::Text => {
                let path = Printable::whole(path);
                let line = format!(
                    "{at:.3} AUDIT {operator} {action} {path} refused: {code} {from} {id}\n"
                );
                sink.append(line.as_bytes());
            }
        }
    }

    /// Writes a change by the file.
    pub fn by_file(&self, change: &FileChange<'_>) {
        let Some(sink) = &self.sink else { return };
        let FileChange { at, subject, before, after } = change;
        match self.form {
            Form::Json => {
                let mut line = JsonLine::new(*at, "info", "the configuration was changed");
                line.text("event", "config_change");
                line.text("subject", subject);
                line.value("before", before);
                line.value("after", after);
                sink.append(&line.end());
            }
            Form::Text => {
                let [before, after] =
                    [before, after].map(|value| printable::to_json(value).unwrap_or_default());
                let subject = Printable::whole(subject);
                let line = format!("{at:.3} AUDIT the file {subject} {before} -> {after}\n");
                sink.append(line.as_bytes());
            }
        }
    }

    /// Writes a wrong token.
    pub fn refused(&self, stranger: &Stranger<'_>) {
        let Some(sink) = &self.sink else { return };
        let Stranger { at, id, from } = stranger;
        match self.form {
            Form::Json => {
                let mut line = JsonLine::new(*at, "warn", "an operator's token was refused");
                line.text("event", "admin_refused");
                line.text("request_id", id.as_str());
                line.address("from", *from);
                sink.append(&line.end());
            }
            Form::Text => {
                sink.append(format!("{at:.3} AUDIT a wrong token from {from} {id}\n").as_bytes())
            }
        }
    }
}

fn json(entry: &Entry<'_>) -> Vec<u8> {
    let mut line = JsonLine::new(entry.at, "info", "an operator made a change");
    line.text("event", "admin_change");
    line.text("request_id", entry.id.as_str());
    line.text("operator", entry.operator);
    line.text("action", entry.action);
    line.text("subject", entry.subject);
    line.text("result", entry.result());
    line.value("before", entry.before);
    line.value("after", entry.after);
    line.end()
}

fn text(entry: &Entry<'_>) -> String {
    let Entry { at, id, operator, action, subject, before, after, .. } = entry;
    let mut line = String::new();
    let [before, after] =
        [before, after].map(|value| printable::to_json(value).unwrap_or_default());
    // Writing to memory cannot fail.
    let _ = writeln!(
        line,
        "{at:.3} AUDIT {operator} {action} {} {} {before} -> {after} {id}",
        Printable::whole(subject),
        entry.result()
    );
    line
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use crate::credits::Credits;

    #[test]
    fn a_line_says_who_did_what_and_what_changed() {
        let (before, after) =
            (serde_json::json!({"suspended": false}), serde_json::json!({"suspended": true}));
        let id = RequestId::parse("r1").expect("an id");
        let entry = Entry {
            at: "2026-11-22T14:26:08.5Z".parse().expect("a time"),
            id: &id,
            operator: "ops",
            action: "suspend_team",
            subject: "user a\nb of team design",
            before: &before,
            after: &after,
            is_certain: false,
        };
        let line = String::from_utf8(json(&entry)).expect("text");
        assert_eq!(
            line,
            "{\"ts\":\"2026-11-22T14:26:08.500Z\",\"level\":\"info\",\
             \"msg\":\"an operator made a change\",\"event\":\"admin_change\",\
             \"request_id\":\"r1\",\"operator\":\"ops\",\"action\":\"suspend_team\",\
             \"subject\":\"user a\\nb of team design\",\"result\":\"unknown\",\
             \"before\":{\"suspended\":false},\"after\":{\"suspended\":true}}\n"
        );
        assert_eq!(
            text(&Entry { is_certain: true, ..entry }),
            "2026-11-22T14:26:08.500Z AUDIT ops suspend_team user a\\nb of team design done \
             {\"suspended\":false} -> {\"suspended\":true} r1\n"
        );
        let named =
            serde_json::json!({ "name": "ci\u{202e}\u{9b}", "topped_up": Credits::from_micros(2) });
        let entry = Entry { subject: "key \u{202e}", before: &named, after: &named, ..entry };
        for line in [String::from_utf8(json(&entry)).expect("text"), text(&entry)] {
            assert!(line.trim_end().chars().all(printable::is_plain), "{line}");
            assert!(
                line.contains("\"name\":\"ci\\u202e\\u009b\",\"topped_up\":0.000002"),
                "{line}"
            );
        }
    }
}
