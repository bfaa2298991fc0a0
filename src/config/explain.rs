//! Messages for problems: what is expected in a place, and which key a misspelt one was meant to
//! be.

use serde_json::{Map, Value};

use super::report::KeyPath;
use super::schema;

/// Least similarity, up to 1, at which a key is taken for a misspelling of another.
const ALIKE: f64 = 0.8;

/// What one of these schemas accepts, in words.
pub(super) fn expected(alternatives: &[&Value]) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for kind in alternatives.iter().filter_map(|one| expected_of(one)) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.join(", or ")
}

fn expected_of(schema: &Value) -> Option<String> {
    if let Some(called) = schema.get(schema::CALLED).and_then(Value::as_str) {
        return Some(called.to_owned());
    }
    let known = schema::texts(schema, "enum");
    match (known.as_slice(), schema::texts(schema, "type").iter().find(|name| **name != "null")) {
        (_, None) => None,
        ([one], _) => Some((*one).to_owned()),
        ([_, _, ..], _) => Some(format!("one of {}", known.join(", "))),
        ([], Some(&"integer")) => Some(whole_number(schema)),
        ([], Some(&"boolean")) => Some("true or false".to_owned()),
        ([], Some(&"array")) => Some("a list".to_owned()),
        ([], Some(&"object")) => Some(match schema::properties(schema) {
            Some(known) if known.len() <= 3 => format!("{{ {}: … }}", keys(known).join(": …, ")),
            Some(_) | None => "keys and values".to_owned(),
        }),
        ([], Some(_)) => Some("text".to_owned()),
    }
}

fn whole_number(schema: &Value) -> String {
    let least = schema.get("minimum").and_then(Value::as_u64).unwrap_or(0);
    match schema.get("maximum").and_then(Value::as_u64) {
        Some(most) => format!("a whole number from {least} to {most}"),
        None => format!("a whole number, at least {least}"),
    }
}

/// Message for an unknown key.
pub(super) fn unknown(path: &KeyPath, key: &str, known: Option<&Map<String, Value>>) -> String {
    if let Some(message) = not_yet(path, key).or_else(|| out_of_place(key)) {
        return message;
    }
    match meant(key, known) {
        Some(meant) => format!("unknown key; did you mean {meant}?"),
        None => {
            format!("unknown key; known here: {}", known.map(keys).unwrap_or_default().join(", "))
        }
    }
}

/// The known key that a misspelt one was meant to be.
pub(super) fn meant<'a>(key: &str, known: Option<&'a Map<String, Value>>) -> Option<&'a str> {
    nearest(key, known.map(keys).unwrap_or_default().into_iter())
}

/// Keys and values planned for later: ignoring them would be worse than refusing them.
pub(super) fn not_yet(path: &KeyPath, word: &str) -> Option<String> {
    let later = match (path.as_str(), word) {
        ("ledger.on_outage", "slice") => true,
        (_, _) => false,
    };
    later.then(|| format!("{word} is not supported by this version"))
}

fn out_of_place(key: &str) -> Option<String> {
    let only = match key {
        "burst" => {
            "only requests_per_second, requests_per_minute and requests_per_hour have a burst"
        }
        "soft" => "only credits_per_day, credits_per_month and credits_total have a soft threshold",
        _ => return None,
    };
    Some(only.to_owned())
}

fn keys(known: &Map<String, Value>) -> Vec<&str> {
    known.keys().map(String::as_str).collect()
}

/// Message for a name that refers to nothing.
pub(super) fn no_such<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(nearest) => format!("there is no {what} {name:?}; did you mean {nearest}?"),
        None => format!("there is no {what} {name:?}"),
    }
}

fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |candidate: &str| {
        strsim::normalized_damerau_levenshtein(word, candidate)
            .max(strsim::jaro_winkler(word, candidate))
    };
    let scored = known.map(|candidate| (alike(candidate), candidate));
    let (score, nearest) = scored.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (score >= ALIKE).then_some(nearest)
}
