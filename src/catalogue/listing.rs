//! The list of models, read for the ids in it. The names of its fields are not documented, so every text in a likely place counts
//! that can be an id: one too many costs a question, one too few would hide a model.

use std::collections::HashSet;

use serde_json::Value;

use crate::team::ModelId;

/// Members of an entry that may hold its id.
const NAMES: [&str; 9] =
    ["id", "modelId", "model_id", "modelid", "model", "endpoint", "endpointId", "endpoint_id", "slug"];
/// What an id may be written behind, when it is written as an address.
const BEFORE: [&str; 4] = ["/api/v1/", "api/v1/", "/v1/", "v1/"];
/// How deep in the answer entries are looked for.
const DEPTH_MAX: usize = 4;
/// The most ids that are taken from a list.
const IDS_MAX: usize = 10_000;

/// The ids in a list of models; none when it is no such list.
pub(super) fn ids(body: &[u8]) -> HashSet<ModelId> {
    let mut ids = HashSet::new();
    if let Ok(list) = serde_json::from_slice(body) {
        collect(&list, DEPTH_MAX, &mut ids);
    }
    ids
}

fn collect(value: &Value, depth: usize, ids: &mut HashSet<ModelId>) {
    if depth == 0 || ids.len() >= IDS_MAX {
        return;
    }
    match value {
        Value::Array(entries) => {
            for entry in entries.iter().take(IDS_MAX) {
                // A list may hold nothing but ids.
                note(entry, ids);
                collect(entry, depth - 1, ids);
            }
        }
        Value::Object(members) => {
            for (name, member) in members.iter().take(IDS_MAX) {
                if NAMES.contains(&name.as_str()) {
                    note(member, ids);
                }
                // Entries may stand under their ids.
                if member.is_object() {
                    ids.extend(ModelId::parse(name));
                }
                collect(member, depth - 1, ids);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn note(value: &Value, ids: &mut HashSet<ModelId>) {
    let Some(text) = value.as_str().filter(|_| ids.len() < IDS_MAX) else { return };
    let bare = BEFORE.iter().find_map(|before| text.strip_prefix(before)).unwrap_or(text);
    ids.extend(ModelId::parse(bare));
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_whatever_shape_the_list_has() {
        for list in [
            r#"[{"id":"flux/dev","pricing":{"credits":0.025}},{"id":"nano-banana"}]"#,
            r#"{"models":[{"_id":17,"modelId":"flux/dev"},{"_id":18,"modelId":"nano-banana"}],"total":2}"#,
            r#"{"data":{"models":[{"endpoint":"/api/v1/flux/dev"},{"endpoint":"/api/v1/nano-banana"}]}}"#,
            r#"{"flux/dev":{"price":1},"nano-banana":{"price":2}}"#,
            r#"["flux/dev","nano-banana"]"#,
            r#"{"image":[{"slug":"flux/dev"}],"video":[{"slug":"nano-banana"}]}"#,
        ] {
            let ids = ids(list.as_bytes());
            for id in ["flux/dev", "nano-banana"] {
                assert!(ids.contains(&ModelId::parse(id).expect("an id")), "{id} in {list}");
            }
        }
    }

    #[test]
    fn what_is_no_list_has_no_ids_and_a_huge_one_has_an_end() {
        for body in ["", "null", "{}", "[]", "7", "<html>", r#"{"error":"x"}"#, r#"[{"id":"no id at all"}]"#] {
            assert_eq!(ids(body.as_bytes()), HashSet::new(), "{body}");
        }
        let many: Vec<String> = (0..IDS_MAX * 2).map(|number| format!("\"a/{number}\"")).collect();
        let ids = ids(format!("[{}]", many.join(",")).as_bytes());
        assert_eq!(ids.len(), IDS_MAX);
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(super::ids(deep.as_bytes()), HashSet::new());
    }
}
