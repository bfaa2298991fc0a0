//! One line per change that an operator made: who, when, what, what was before and what is after; and one per wrong
//! token. Never a secret.
//!
//! The lines go beside the other logs, not through their filter: no level switches them off. In JSON they are those
//! with `"event":"admin_change"` and `"event":"admin_refused"`.

use std::fmt::Write as _;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use super::json_line::JsonLine;
use super::logs::Form;
use super::sink::Sink;
use crate::printable::{self, Printable};
use crate::request::RequestId;

/// Writes the audit lines. Clones write to the same place.
#[derive(Clone, Debug)]
pub struct AuditLog {
    sink: Option<Sink>,
    form: Form,
}

/// A change.
#[derive(Debug)]
pub struct Entry<'a> {
    /// When.
    pub at: Timestamp,
    /// The request that asked for it.
    pub id: &'a RequestId,
    /// Who: the name of the token.
    pub operator: &'a str,
    /// What was done.
    pub action: &'static str,
    /// To what: `team design`.
    pub subject: &'a str,
    /// What was before.
    pub before: &'a Value,
    /// What is after.
    pub after: &'a Value,
    /// Whether it is known that the change was made: a store that falls silent may have made it or not.
    pub is_certain: bool,
}

/// Somebody who showed a token that is no operator's.
#[derive(Debug)]
pub struct Stranger<'a> {
    /// When.
    pub at: Timestamp,
    /// The request that carried it.
    pub id: &'a RequestId,
    /// From which address it came.
    pub from: IpAddr,
}

impl Entry<'_> {
    const fn result(&self) -> &'static str {
        if self.is_certain { "done" } else { "unknown" }
    }
}

impl AuditLog {
    /// Lines in this form into this sink.
    #[must_use]
    pub const fn new(sink: Sink, form: Form) -> Self {
        Self { sink: Some(sink), form }
    }

    /// No lines at all, for a gateway that no operator can reach.
    #[must_use]
    pub const fn off() -> Self {
        Self { sink: None, form: Form::Json }
    }

    /// Writes the line of a change.
    pub fn write(&self, entry: &Entry<'_>) {
        let Some(sink) = &self.sink else { return };
        match self.form {
            Form::Json => sink.append(&json(entry)),
            Form::Text => sink.append(text(entry).as_bytes()),
        }
    }

    /// Writes the line of a wrong token.
    pub fn refused(&self, stranger: &Stranger<'_>) {
        let Some(sink) = &self.sink else { return };
        let Stranger { at, id, from } = stranger;
        match self.form {
            Form::Json => {
                let mut line = JsonLine::new(*at, "warn", "an operator's token was refused");
                line.text("event", "admin_refused");
                line.text("request_id", id.as_str());
                line.text("from", &from.to_string());
                sink.append(&line.end());
            }
            Form::Text => sink.append(format!("{at:.3} AUDIT a wrong token from {from} {id}\n").as_bytes()),
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
    let [before, after] = [before, after].map(|value| printable::to_json(value).unwrap_or_default());
    // Writing to memory does not fail.
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
        let (before, after) = (serde_json::json!({"suspended": false}), serde_json::json!({"suspended": true}));
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
            "{\"ts\":\"2026-11-22T14:26:08.500Z\",\"level\":\"info\",\"msg\":\"an operator made a change\",\
             \"event\":\"admin_change\",\"request_id\":\"r1\",\"operator\":\"ops\",\"action\":\"suspend_team\",\
             \"subject\":\"user a\\nb of team design\",\"result\":\"unknown\",\"before\":{\"suspended\":false},\
             \"after\":{\"suspended\":true}}\n"
        );
        assert_eq!(
            text(&Entry { is_certain: true, ..entry }),
            "2026-11-22T14:26:08.500Z AUDIT ops suspend_team user a\\nb of team design done {\"suspended\":false} -> \
             {\"suspended\":true} r1\n"
        );
        let named = serde_json::json!({ "name": "ci\u{202e}\u{9b}", "topped_up": Credits::from_micros(2) });
        let entry = Entry { subject: "key \u{202e}", before: &named, after: &named, ..entry };
        for line in [String::from_utf8(json(&entry)).expect("text"), text(&entry)] {
            assert!(line.trim_end().chars().all(printable::is_plain), "{line}");
            assert!(line.contains("\"name\":\"ci\\u202e\\u009b\",\"topped_up\":0.000002"), "{line}");
        }
    }
}
