//! Parses the text into a tree in which every value has its place in the file.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Spanned};

use super::report::Position;

/// A value of the file.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it starts.
    pub(super) place: Position,
    /// The kind and content.
    pub(super) kind: Kind,
}

/// Kinds of values.
#[derive(Debug)]
pub(super) enum Kind {
    /// No value.
    Nothing,
    /// `null`.
    Null,
    /// `true` or `false`.
    Truth(bool),
    /// A number, as written.
    Number(String),
    /// A string, in quotes or not.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in the order of the file; a key may occur twice.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key starts.
    pub(super) place: Position,
    pub(super) value: Node,
}

/// A text that is not YAML: where, and why.
pub(super) struct NotYaml {
    pub(super) place: Position,
    pub(super) message: String,
}

impl Node {
    /// Parses a file's text.
    pub(super) fn read(text: &str) -> Result<Self, NotYaml> {
        let options = serde_saphyr::options! {
            // Duplicates are reported together with all other problems.
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
            // A key id such as 12e456789012 is a string to us, although YAML sees a number too
            // large.
            non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
            reject_unsupported_tags: true,
            with_snippet: false,
        };
        match serde_saphyr::from_str_with_options::<Spanned<Read>>(text, options) {
            Ok(read) => Ok(placed(read, text)),
            Err(error) => Err(NotYaml {
                place: error.location().map_or(Position::START, |location| place(&location)),
                message: not_yaml(&error),
            }),
        }
    }

    /// The node's kind, as problems name it.
    pub(super) fn called(&self) -> &'static str {
        match self.kind {
            Kind::Nothing => "nothing",
            Kind::Null => "null",
            Kind::Truth(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "keys and values",
        }
    }
}

/// A value from the YAML reader. Numbers lose their notation, so that is read again from the text.
enum Read {
    Null,
    Truth(bool),
    Number,
    Text(String),
    List(Vec<Spanned<Read>>),
    Map(Vec<(Spanned<String>, Spanned<Read>)>),
}

fn placed(read: Spanned<Read>, text: &str) -> Node {
    let written = || {
        let span = read.defined.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
        text.get(start..end).map(|written| written.trim().to_owned())
    };
    let kind = match read.value {
        Read::Null if written().is_some_and(|written| !written.is_empty()) => Kind::Null,
        Read::Null => Kind::Nothing,
        Read::Truth(truth) => Kind::Truth(truth),
        Read::Number => Kind::Number(written().unwrap_or_default()),
        Read::Text(text) => Kind::Text(text),
        Read::List(items) => Kind::List(items.into_iter().map(|item| placed(item, text)).collect()),
        Read::Map(entries) => Kind::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    place: place(&key.referenced),
                    key: key.value,
                    value: placed(value, text),
                })
                .collect(),
        ),
    };
    Node { place: place(&read.referenced), kind }
}

fn place(location: &Location) -> Position {
    Position { line: location.line().max(1), column: location.column().max(1) }
}

/// Message of the YAML reader, without the place, which is reported apart, and without names of its
/// functions.
fn not_yaml(error: &Error) -> String {
    let error = error.without_snippet();
    if matches!(error, Error::MultipleDocuments { .. }) {
        return "is not one YAML document but several".to_owned();
    }
    let message = error.to_string();
    let line = message.lines().next().unwrap_or_default();
    let message = line.rsplit_once(" at line ").map_or(line, |(message, _)| message);
    format!("is not valid YAML: {message}")
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Read, E> {
        Ok(Read::Null)
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Read, E> {
        Ok(Read::Truth(truth))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Read, E> {
        Ok(Read::Number)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Read, E> {
        Ok(Read::Number)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Read, E> {
        Ok(Read::Number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Read, E> {
        Ok(Read::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Read, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Read::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Read::Map(entries))
    }
}
