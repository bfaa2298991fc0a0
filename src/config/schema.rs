//! JSON Schema of the file, generated from its shapes: for editors, and to check a file's form.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value};

use super::file::File;
use super::file::team::Limits;

/// Marks a required key. The shapes themselves can be read without it: see [`super::file`].
const REQUIRED: &str = "x-required";
/// Schema extension: the name of a value's format in problems.
pub(super) const CALLED: &str = "x-called";

/// The schema for editors.
#[must_use]
pub fn published() -> Value {
    let mut schema = generator(false).into_root_schema_for::<File>();
    Published.transform(&mut schema);
    schema.to_value()
}

/// The schema without references, to check a file's form.
pub(super) fn whole() -> Value {
    generator(true).into_root_schema_for::<File>().to_value()
}

/// The schema of a team's limits, without references.
pub(super) fn of_limits() -> Value {
    generator(true).into_root_schema_for::<Limits>().to_value()
}

fn generator(inline: bool) -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = inline)
        .with_transform(Requiring)
        .into_generator()
}

/// Moves the marks of required keys into the `required` list that JSON Schema has.
#[derive(Clone)]
struct Requiring;

impl Transform for Requiring {
    fn transform(&mut self, schema: &mut Schema) {
        let mut required = Vec::new();
        for (key, property) in
            schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
        {
            let Some(property) = property.as_object_mut() else { continue };
            if property.remove(REQUIRED).is_some() {
                property.remove("default");
                required.push(Value::from(key.as_str()));
            }
        }
        if !required.is_empty() {
            schema.insert("required".to_owned(), Value::Array(required));
        }
        transform_subschemas(self, schema);
    }
}

/// Removes extensions that only our own check reads.
struct Published;

impl Transform for Published {
    fn transform(&mut self, schema: &mut Schema) {
        schema.remove(CALLED);
        transform_subschemas(self, schema);
    }
}

/// Keys of a schema, with their schemas.
pub(super) fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

/// Strings of a list in a schema: `required`, `enum`, `type` when there are several.
pub(super) fn texts<'a>(schema: &'a Value, name: &str) -> Vec<&'a str> {
    match schema.get(name) {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
            Vec::new()
        }
    }
}

/// The schemas of which one must match: those of `anyOf` at any depth, or the schema itself.
pub(super) fn alternatives(schema: &Value) -> Vec<&Value> {
    match schema.get("anyOf").and_then(Value::as_array) {
        Some(several) => several.iter().flat_map(alternatives).collect(),
        None => vec![schema],
    }
}
