//! Parses a generation's body into an order, or into all problems with its fields.

use serde_json::{Map, Value};

use super::models::{Accepts, Field, IMAGE_SIZES, Makes, Model};

/// A valid order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) prompt: String,
    /// Images, or seconds of video: the units that are charged.
    pub(super) units: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    /// The caller's own seed.
    pub(super) seed: Option<u64>,
}

/// A body, as far as it was parsed.
pub(super) enum Body {
    Object(Map<String, Value>),
    /// No JSON, or no object; with the message.
    Unreadable(&'static str),
}

/// Parses a body, whatever its content type.
pub(super) fn read(bytes: &[u8]) -> Body {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Body::Object(fields),
        Ok(_) => Body::Unreadable("Request body must be a JSON object"),
        Err(_) => Body::Unreadable("Request body must be valid JSON"),
    }
}

impl Body {
    /// The prompt, if there is one.
    pub(super) fn prompt(&self) -> Option<&str> {
        match self {
            Self::Object(fields) => fields.get("prompt").and_then(Value::as_str),
            Self::Unreadable(_) => None,
        }
    }

    /// The order, or every problem with it.
    pub(super) fn order(&self, model: &Model) -> Result<Order, Vec<String>> {
        let fields = match self {
            Self::Object(fields) => fields,
            Self::Unreadable(why) => return Err(vec![(*why).to_owned()]),
        };
        let problems: Vec<String> =
            model.fields.iter().filter_map(|field| field.problem(fields)).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let (width, height) = size(model, fields);
        Ok(Order {
            prompt: fields.get("prompt").and_then(Value::as_str).unwrap_or_default().to_owned(),
            units: units(model, fields),
            width,
            height,
            seed: fields.get("seed").and_then(Value::as_u64),
        })
    }
}

/// A field's value; `null` counts as absent, since clients write it for unset values.
fn given<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// A whole number: JavaScript cannot tell 2.0 from 2.
#[allow(clippy::cast_possible_truncation)]
fn whole(value: &Value) -> Option<i64> {
    let of_float = || value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 1e15);
    value.as_i64().or_else(|| of_float().map(|number| number as i64))
}

/// A field's value, if the model uses that field.
fn known<'a>(model: &Model, fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    model.fields.iter().find(|field| field.name == name).and_then(|_| given(fields, name))
}

fn units(model: &Model, fields: &Map<String, Value>) -> u32 {
    match model.makes {
        Makes::Image => known(model, fields, "num_images")
            .and_then(whole)
            .and_then(|count| count.try_into().ok())
            .unwrap_or(1),
        Makes::Video => known(model, fields, "duration")
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok())
            .unwrap_or(5),
    }
}

fn size(model: &Model, fields: &Map<String, Value>) -> (u32, u32) {
    let text = |name| known(model, fields, name).and_then(Value::as_str);
    let looks_at = |name| model.fields.iter().any(|field| field.name == name);
    match model.makes {
        Makes::Video if text("aspect_ratio") == Some("9:16") => (1088, 1920),
        Makes::Video => (1920, 1088),
        Makes::Image if looks_at("image_size") => {
            let name = text("image_size").unwrap_or("landscape_4_3");
            IMAGE_SIZES
                .iter()
                .find(|size| size.0 == name)
                .map_or((1024, 768), |size| (size.1, size.2))
        }
        Makes::Image => {
            text("aspect_ratio").and_then(ratio).map_or((1024, 1024), |(wide, high)| {
                // The longer side is 1024 and the other a multiple of 8, as image models need.
                let other = |part: u32, whole: u32| ((1024 * part / whole) / 8 * 8).max(8);
                if wide >= high { (1024, other(high, wide)) } else { (other(wide, high), 1024) }
            })
        }
    }
}

fn ratio(text: &str) -> Option<(u32, u32)> {
    let (wide, high) = text.split_once(':')?;
    let side = |text: &str| text.parse::<u32>().ok().filter(|side| (1..=32).contains(side));
    Some((side(wide)?, side(high)?))
}

impl Field {
    fn problem(&self, fields: &Map<String, Value>) -> Option<String> {
        let name = self.name;
        let Some(value) = given(fields, name) else {
            return self.required.then(|| format!("Missing required field: {name}"));
        };
        if self.required && value.as_str() == Some("") {
            return Some(format!("Missing required field: {name}"));
        }
        let kind =
            |expected: &str| Some(format!("Invalid type for field {name}: expected {expected}"));
        let range = |least: &dyn std::fmt::Display, most: &dyn std::fmt::Display| {
            Some(format!("Invalid value for field {name}: must be between {least} and {most}"))
        };
        match self.accepts {
            Accepts::Text { longest } => match (value.as_str(), longest) {
                (None, _) => kind("string"),
                (Some(text), Some(longest)) if text.chars().count() > longest => Some(format!(
                    "Invalid value for field {name}: must be at most {longest} characters"
                )),
                (Some(_), _) => None,
            },
            Accepts::Choice(choices) => match value.as_str() {
                None => kind("string"),
                Some(text) if choices.contains(&text) => None,
                Some(_) => Some(format!(
                    "Invalid value for field {name}: must be one of {}",
                    choices.join(", ")
                )),
            },
            Accepts::Ratio => match value.as_str() {
                None => kind("string"),
                Some(text) if ratio(text).is_some() => None,
                Some(_) => {
                    Some(format!("Invalid value for field {name}: must be a ratio such as 16:9"))
                }
            },
            Accepts::Integer { least, most } => match whole(value) {
                None => kind("integer"),
                Some(number) if (least..=most).contains(&number) => None,
                Some(_) => range(&least, &most),
            },
            Accepts::Number { least, most } => match value.as_f64() {
                None => kind("number"),
                Some(number) if (least..=most).contains(&number) => None,
                Some(_) => range(&least, &most),
            },
            Accepts::Boolean => {
                if value.is_boolean() {
                    None
                } else {
                    kind("boolean")
                }
            }
            Accepts::Texts => match value.as_array() {
                Some(items) if items.iter().all(Value::is_string) => None,
                Some(_) | None => kind("array of strings"),
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::models;
    use super::*;

    fn order(model: &str, body: &str) -> Result<Order, Vec<String>> {
        read(body.as_bytes()).order(models::find(model).unwrap())
    }

    #[test]
    fn every_documented_size_default_and_range_is_held() {
        let plain = order("flux/dev", r#"{"prompt":"a"}"#).unwrap();
        assert_eq!((plain.units, plain.width, plain.height), (1, 1024, 768));
        for (name, width, height) in IMAGE_SIZES {
            let sized =
                order("flux/dev", &format!(r#"{{"prompt":"a","image_size":"{name}"}}"#)).unwrap();
            assert_eq!((sized.width, sized.height), (width, height));
        }
        assert_eq!(
            order("flux/dev", r#"{"prompt":"a","num_images":2.0,"seed":null}"#).unwrap().units,
            2
        );
        assert_eq!(order("flux/dev", r#"{"prompt":"a","num_images":null}"#).unwrap().units, 1);
        let video = order(
            "kling/kling-2-1-master",
            r#"{"prompt":"a","aspect_ratio":"9:16","duration":"10"}"#,
        )
        .unwrap();
        assert_eq!((video.units, video.width, video.height), (10, 1088, 1920));
        let edit = r#"{"prompt":"a","image_url":"data:,","num_images":4,"aspect_ratio":"16:9"}"#;
        let edit = order("ideogram/v3-character-edit", edit).unwrap();
        assert_eq!(
            (edit.units, edit.width, edit.height),
            (1, 1024, 576),
            "a field it does not know is ignored"
        );
        assert_eq!(
            order(
                "firemoon-studio/memphis-style",
                r#"{"prompt":"a","lora_scale":0.8,"num_images":4}"#
            )
            .unwrap()
            .units,
            4
        );
    }

    #[test]
    fn values_out_of_range_or_mistyped_are_named() {
        for (model, body, problem) in [
            ("flux/dev", "{}", "Missing required field: prompt"),
            ("flux/dev", r#"{"prompt":""}"#, "Missing required field: prompt"),
            ("flux/dev", r#"{"prompt":7}"#, "Invalid type for field prompt: expected string"),
            (
                "flux/dev",
                r#"{"prompt":"a","num_images":5}"#,
                "Invalid value for field num_images: must be between 1 and 4",
            ),
            (
                "flux/dev",
                r#"{"prompt":"a","num_images":"4"}"#,
                "Invalid type for field num_images: expected integer",
            ),
            (
                "flux/dev",
                r#"{"prompt":"a","num_images":1.5}"#,
                "Invalid type for field num_images: expected integer",
            ),
            (
                "flux/dev",
                r#"{"prompt":"a","num_images":1e9}"#,
                "Invalid value for field num_images: must be between 1 and 4",
            ),
            ("flux/dev", r#"{"prompt":null}"#, "Missing required field: prompt"),
            (
                "flux/dev",
                r#"{"prompt":"a","guidance_scale":0.5}"#,
                "Invalid value for field guidance_scale: must be between 1 and 20",
            ),
            (
                "flux/dev",
                r#"{"prompt":"a","num_inference_steps":51}"#,
                "Invalid value for field num_inference_steps: must be between 1 and 50",
            ),
            (
                "kling/kling-2-1-master",
                r#"{"prompt":"a","duration":5}"#,
                "Invalid type for field duration: expected string",
            ),
            (
                "kling/kling-2-1-master",
                r#"{"prompt":"a","duration":"6"}"#,
                "Invalid value for field duration: must be one of 5, 10",
            ),
            (
                "ideogram/v3-character-edit",
                r#"{"prompt":"a"}"#,
                "Missing required field: image_url",
            ),
            (
                "ideogram/v3",
                r#"{"prompt":"a","aspect_ratio":"wide"}"#,
                "Invalid value for field aspect_ratio: must be a ratio such as 16:9",
            ),
            ("flux/dev", "[]", "Request body must be a JSON object"),
            ("flux/dev", "{", "Request body must be valid JSON"),
        ] {
            assert_eq!(order(model, body).unwrap_err(), [problem], "{body}");
        }
        let long = format!(r#"{{"prompt":"{}","num_images":0}}"#, "é".repeat(1001));
        assert_eq!(order("flux/dev", &long).unwrap_err().len(), 2, "every problem is listed");
        assert!(
            order("flux/dev", &format!(r#"{{"prompt":"{}"}}"#, "é".repeat(1000))).is_ok(),
            "characters, not bytes"
        );
    }
}
