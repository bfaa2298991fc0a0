//! Differences between the old and the new configuration of a reload, by team, price, key and other
//! part of the file. Never a secret.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::settings::{FIXED, Settings, written};
use crate::identity::settings::KeySettings;

/// A part of the configuration that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The part: `team design`, `price flux/dev`.
    pub subject: String,
    /// The differing members before; null when the part did not exist.
    pub before: Value,
    /// The differing members now; null when the part is gone.
    pub after: Value,
}

/// Lists and maps whose elements are parts of their own: where they are, what one is called, and
/// the member that names it in a list.
const PARTS: [(&str, &str, Option<&str>); 6] = [
    ("/teams", "team", None),
    ("/pricing/models", "price", None),
    ("/identity/keys", "key", Some("id")),
    ("/identity/issuers", "issuer", Some("issuer")),
    ("/upstream/keys", "shared key", Some("name")),
    ("/admin/tokens", "operator", Some("name")),
];

/// Everything that differs and takes effect with a reload, by its name. What needs a restart is not
/// in force, so it is not in the list.
#[must_use]
pub fn changes(old: &Settings, new: &Settings) -> Vec<Change> {
    let (before, mut after) = (parts(old), parts(new));
    mark_other_hashes(old, new, &mut after);
    let subjects: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut changes: Vec<Change> = subjects
        .into_iter()
        .filter_map(|subject| {
            let (before, after) = differing(before.get(subject), after.get(subject))?;
            Some(Change { subject: subject.clone(), before, after })
        })
        .collect();
    changes.extend(changed_files(old, new));
    changes
}

/// Shows that a key of the file has another secret: both hashes are blanked alike.
fn mark_other_hashes(old: &Settings, new: &Settings, after: &mut BTreeMap<String, Value>) {
    let hash = |key: &KeySettings| (key.id.clone(), key.sha256.to_hex());
    let before: HashMap<_, _> = old.live.identity.keys.iter().map(hash).collect();
    for (id, hash) in new.live.identity.keys.iter().map(hash) {
        let part = after.get_mut(&format!("key {id}")).and_then(Value::as_object_mut);
        if let (Some(part), Some(was)) = (part, before.get(&id))
            && *was != hash
        {
            part.insert("sha256".to_owned(), json!("[another hash]"));
        }
    }
}

/// Files with other content: a secret is never shown, but that it changed is.
fn changed_files(old: &Settings, new: &Settings) -> impl Iterator<Item = Change> {
    let differs = |(path, digest): &(&std::path::PathBuf, _)| {
        old.named.get(*path).is_some_and(|before| before != *digest)
    };
    new.named.iter().filter(differs).map(|(path, _)| Change {
        subject: format!("file {}", path.display()),
        before: Value::Null,
        after: json!("[other content]"),
    })
}

/// The parts of a file, by their names.
fn parts(settings: &Settings) -> BTreeMap<String, Value> {
    let mut file = written(settings.effective());
    for key in FIXED {
        take(&mut file, key);
    }
    let mut parts = BTreeMap::new();
    for (place, called, named_by) in PARTS {
        match (take(&mut file, place), named_by) {
            (Some(Value::Object(map)), None) => {
                parts
                    .extend(map.into_iter().map(|(name, part)| (format!("{called} {name}"), part)));
            }
            (Some(Value::Array(list)), Some(named_by)) => {
                let name = |part: &Value| part[named_by].as_str().unwrap_or_default().to_owned();
                parts.extend(
                    list.into_iter().map(|part| (format!("{called} {}", name(&part)), part)),
                );
            }
            _ => {}
        }
    }
    let Value::Object(sections) = file else { return parts };
    for (section, rest) in sections {
        if let Value::Object(members) = rest {
            let named = |(key, value)| (format!("setting {section}.{key}"), value);
            parts.extend(members.into_iter().map(named));
        } else {
            parts.insert(format!("setting {section}"), rest);
        }
    }
    parts
}

/// Takes a member out of a file.
fn take(file: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, name) = pointer.rsplit_once('/')?;
    file.pointer_mut(parent)?.as_object_mut()?.remove(name)
}

/// The difference between two parts; for two objects, only their differing members.
fn differing(before: Option<&Value>, after: Option<&Value>) -> Option<(Value, Value)> {
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let (mut was, mut is) = (Map::new(), Map::new());
            let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                if let Some((old, new)) = differing(before.get(key), after.get(key)) {
                    was.insert(key.clone(), old);
                    is.insert(key.clone(), new);
                }
            }
            (!is.is_empty()).then_some((Value::Object(was), Value::Object(is)))
        }
        (before, after) if before != after => Some((whole(before), whole(after))),
        (_, _) => None,
    }
}

/// A part that is only on one side, without what it leaves out.
fn whole(part: Option<&Value>) -> Value {
    let mut part = part.cloned().unwrap_or_default();
    if let Value::Object(members) = &mut part {
        members.retain(|_, value| !value.is_null());
    }
    part
}
