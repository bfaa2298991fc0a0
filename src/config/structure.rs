//! Compares a file with its schema: keys, types, ranges. What does not match is reported and left
//! out, and the rest is checked further, so that one run reports all problems.

use serde_json::{Map, Value};

use super::explain;
use super::report::{KeyPath, Report};
use super::schema;
use super::tree::{Entry, Kind, Node};

/// The parts of a file that match the schema, as a value from which the shapes of [`super::file`]
/// can be read.
pub(super) fn fitting(node: &Node, schema: &Value, report: &mut Report) -> Value {
    if matches!(node.kind, Kind::Nothing | Kind::Null) {
        report.add(&KeyPath::root(), "the file is empty; upstream, ledger and teams are needed");
        report.leave_out(&KeyPath::root());
        return Value::Object(Map::new());
    }
    Form { report }
        .value(node, schema, &KeyPath::root())
        .unwrap_or_else(|| Value::Object(Map::new()))
}

struct Form<'a> {
    report: &'a mut Report,
}

impl Form<'_> {
    /// The value, if it matches its schema, without those of its parts that do not.
    fn value(&mut self, node: &Node, schema: &Value, path: &KeyPath) -> Option<Value> {
        let alternatives = schema::alternatives(schema);
        let Some(fits) = alternatives.iter().find(|one| takes(one, &node.kind)) else {
            let message = match node.kind {
                Kind::Nothing => {
                    format!("has no value; must be {}", explain::expected(&alternatives))
                }
                Kind::Null
                | Kind::Truth(_)
                | Kind::Number(_)
                | Kind::Text(_)
                | Kind::List(_)
                | Kind::Map(_) => {
                    format!("must be {}, not {}", explain::expected(&alternatives), node.called())
                }
            };
            return self.left_out(path, message);
        };
        match &node.kind {
            Kind::Nothing | Kind::Null => Some(Value::Null),
            Kind::Truth(truth) => Some(Value::Bool(*truth)),
            Kind::Number(written) if schema::texts(fits, "type").contains(&"string") => {
                Some(Value::String(written.clone()))
            }
            Kind::Number(written) => self.number(written, fits, path),
            Kind::Text(text) => self.text(text, fits, path),
            Kind::List(items) => self.list(items, fits, path),
            Kind::Map(entries) => Some(self.map(entries, fits, path)),
        }
    }

    fn left_out(&mut self, path: &KeyPath, message: String) -> Option<Value> {
        self.report.add(path, message);
        self.report.leave_out(path);
        None
    }

    fn number(&mut self, written: &str, schema: &Value, path: &KeyPath) -> Option<Value> {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        let (least, most) = (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(u64::MAX));
        match written.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => Some(Value::from(number)),
            _ => self
                .left_out(path, format!("must be {}, not {written}", explain::expected(&[schema]))),
        }
    }

    fn text(&mut self, text: &str, schema: &Value, path: &KeyPath) -> Option<Value> {
        let known = schema::texts(schema, "enum");
        if known.is_empty() || known.contains(&text) {
            return Some(Value::from(text));
        }
        let message = explain::not_yet(path, text)
            .unwrap_or_else(|| format!("must be {}, not {text:?}", explain::expected(&[schema])));
        self.left_out(path, message)
    }

    fn list(&mut self, items: &[Node], schema: &Value, path: &KeyPath) -> Option<Value> {
        let needed = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        if items.is_empty() && needed > 0 {
            return self.left_out(path, "must not be empty".to_owned());
        }
        let of = schema.get("items").unwrap_or(&Value::Null);
        let mut fitting = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = path.item(index);
            self.report.learn(&path, item.place);
            // A placeholder for an item that does not match, so that later items keep their index.
            fitting.push(self.value(item, of, &path).unwrap_or_else(|| placeholder(of)));
        }
        Some(Value::Array(fitting))
    }

    fn map(&mut self, entries: &[Entry], schema: &Value, path: &KeyPath) -> Value {
        let mut fitting = Map::new();
        let mut seen: Vec<&Entry> = Vec::new();
        for entry in entries {
            let below = path.key(&entry.key);
            if let Some(first) = seen.iter().find(|earlier| earlier.key == entry.key) {
                let message =
                    format!("is given twice; it stands on line {} already", first.place.line);
                self.report.add_at(entry.place, &below, message);
                continue;
            }
            seen.push(entry);
            let properties = schema::properties(schema);
            let known = properties.and_then(|known| known.get(&entry.key));
            let any = schema.get("additionalProperties").filter(|any| any.is_object());
            let Some(of) = known.or(any) else {
                self.report.add_at(
                    entry.place,
                    &below,
                    explain::unknown(path, &entry.key, properties),
                );
                self.report.leave_out(&below);
                // The key that was meant is not reported as missing as well.
                let meant = explain::meant(&entry.key, properties);
                if let Some(meant) =
                    meant.filter(|meant| entries.iter().all(|entry| entry.key != *meant))
                {
                    self.report.leave_out(&path.key(meant));
                }
                continue;
            };
            let has_parts = matches!(entry.value.kind, Kind::Map(_) | Kind::List(_));
            self.report.learn(&below, if has_parts { entry.place } else { entry.value.place });
            if let Some(value) = self.value(&entry.value, of, &below) {
                fitting.insert(entry.key.clone(), value);
            }
        }
        for needed in schema::texts(schema, "required") {
            if !seen.iter().any(|entry| entry.key == needed) {
                let of = schema::properties(schema)
                    .and_then(|known| known.get(needed))
                    .unwrap_or(&Value::Null);
                let expected = explain::expected(&schema::alternatives(of));
                self.left_out(&path.key(needed), format!("is missing; must be {expected}"));
            }
        }
        Value::Object(fitting)
    }
}

fn takes(schema: &Value, kind: &Kind) -> bool {
    let types = schema::texts(schema, "type");
    let any = |names: &[&str]| names.iter().any(|name| types.contains(name));
    match kind {
        Kind::Nothing => false,
        Kind::Null => any(&["null"]),
        Kind::Truth(_) => any(&["boolean"]),
        Kind::Number(_) => any(&["integer", "number", "string"]),
        Kind::Text(_) => any(&["string"]),
        Kind::List(_) => any(&["array"]),
        Kind::Map(_) => any(&["object"]),
    }
}

/// A valid value to read in place of one that was reported.
fn placeholder(schema: &Value) -> Value {
    match schema::texts(schema, "type").first() {
        Some(&"object") => Value::Object(Map::new()),
        Some(&"integer") => schema.get("minimum").cloned().unwrap_or_else(|| Value::from(0)),
        _ => schema::texts(schema, "enum").first().copied().unwrap_or_default().into(),
    }
}
