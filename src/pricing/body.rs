//! Reads an order from a call's body: the members that decide the price, without building a JSON
//! tree.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::wrong_body;
use crate::pricing::{Order, Price};

/// Why a body has no price: every problem, in words for the caller.
pub type Wrong = Vec<String>;

/// Reads the order of a body at this price.
///
/// # Errors
/// The body is not UTF-8 or not one JSON object, has a deciding member twice (the upstream might
/// read the other one), or gives it a value of the wrong type or out of range.
pub fn order(body: &[u8], price: &Price) -> Result<Order, Wrong> {
    let deciding = Deciding::read(body)?;
    let mut problems = Vec::new();
    let mut note = |read: Result<u64, String>| {
        read.unwrap_or_else(|problem| {
            problems.push(problem);
            0
        })
    };
    let images = if price.counts_images() { note(images(&deciding, price)) } else { 0 };
    let seconds = if price.counts_seconds() { note(seconds(&deciding, price)) } else { 0 };
    if problems.is_empty() { Ok(Order { images, seconds }) } else { Err(problems) }
}

fn images(deciding: &Deciding<'_>, price: &Price) -> Result<u64, String> {
    let Some(raw) = deciding.num_images.and_then(given) else { return Ok(price.images_default) };
    match whole(raw) {
        Some(count) if (1..=price.images_max).contains(&count) => Ok(count),
        Some(_) | None => {
            Err(format!("num_images must be a whole number from 1 to {}", price.images_max))
        }
    }
}

/// The published API writes the length as a string (`"5"`); a plain number means the same.
fn seconds(deciding: &Deciding<'_>, price: &Price) -> Result<u64, String> {
    let Some(raw) = deciding.duration.and_then(given) else {
        return Ok(price.durations.first().copied().unwrap_or_default());
    };
    match whole(raw.trim_matches('"')) {
        Some(length) if price.durations.contains(&length) => Ok(length),
        Some(_) | None => {
            let lengths: Vec<String> =
                price.durations.iter().map(|length| format!("\"{length}\"")).collect();
            Err(format!("duration must be one of {}", lengths.join(", ")))
        }
    }
}

/// The text of a member. `null` counts as absent: clients write it for unset values.
fn given(raw: &RawValue) -> Option<&str> {
    Some(raw.get()).filter(|text| *text != "null")
}

/// A whole number in any JSON notation: `2`, `2.0`, `2e0`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(text: &str) -> Option<u64> {
    // Rejects a sign or white space around it, which the parser would accept.
    let bare = text.starts_with(|first: char| first.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit());
    if !bare {
        return None;
    }
    // 2^53: below it every whole number is a distinct double.
    let is_whole = |number: &f64| number.fract() == 0.0 && *number <= 9_007_199_254_740_992.0;
    serde_json::from_str::<f64>(text).ok().filter(is_whole).map(|number| number as u64)
}

#[derive(Default)]
struct Deciding<'a> {
    num_images: Option<&'a RawValue>,
    duration: Option<&'a RawValue>,
}

impl<'a> Deciding<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Wrong> {
        let mut deserializer = serde_json::Deserializer::from_str(text(body)?);
        let read = deserializer
            .deserialize_map(Members)
            .and_then(|members| deserializer.end().map(|()| members));
        read.map_err(|error| vec![wrong_body(body, &error)])
    }
}

/// The body as text. Checks all of it, since the JSON parser skips strings that do not decide the
/// price.
fn text(body: &[u8]) -> Result<&str, Wrong> {
    let text = std::str::from_utf8(body).map_err(|error| {
        vec![format!(
            "the body is not UTF-8, as JSON must be: its first {} bytes are",
            error.valid_up_to()
        )]
    })?;
    if text.starts_with('\u{feff}') {
        return Err(vec![
            "the body begins with a byte order mark (BOM), which JSON does not have".to_owned(),
        ]);
    }
    Ok(text)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Deciding<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Deciding<'de>, A::Error> {
        let mut deciding = Deciding::default();
        while let Some(name) = members.next_key::<Name>()? {
            let slot = match name {
                Name::NumImages => &mut deciding.num_images,
                Name::Duration => &mut deciding.duration,
                Name::Other => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if slot.replace(members.next_value()?).is_some() {
                let twice = if matches!(name, Name::Duration) { "duration" } else { "num_images" };
                return Err(serde::de::Error::custom(format!("{twice} is given twice")));
            }
        }
        Ok(deciding)
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier)]
enum Name {
    #[serde(rename = "num_images")]
    NumImages,
    #[serde(rename = "duration")]
    Duration,
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credits::Credits;

    fn per_image() -> Price {
        Price { per_image: Credits::from_micros(25_000), ..Price::free() }
    }

    fn per_second() -> Price {
        Price { per_second: Credits::from_micros(280_000), ..Price::free() }
    }

    #[test]
    fn a_body_that_names_no_number_asks_for_one_image() {
        assert_eq!(order(br#"{"prompt":"x"}"#, &per_image()), Ok(Order { images: 1, seconds: 0 }));
        assert_eq!(
            order(br#"{"num_images":4}"#, &per_image()),
            Ok(Order { images: 4, seconds: 0 })
        );
        assert_eq!(
            order(br#"{"num_images":null}"#, &per_image()),
            Ok(Order { images: 1, seconds: 0 })
        );
        let two = Price { images_default: 2, ..per_image() };
        assert_eq!(order(br#"{"num_images": null }"#, &two), Ok(Order { images: 2, seconds: 0 }));
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        for two in ["2", "2.0", "2e0", "2E+0", "0.2e1", "200e-2", "2.000"] {
            let body = format!("{{\"num_images\":{two}}}");
            assert_eq!(
                order(body.as_bytes(), &per_image()),
                Ok(Order { images: 2, seconds: 0 }),
                "{two}"
            );
        }
    }

    #[test]
    fn a_length_is_one_of_the_lengths_on_offer() {
        assert_eq!(
            order(br#"{"duration":"10"}"#, &per_second()),
            Ok(Order { images: 0, seconds: 10 })
        );
        assert_eq!(order(br#"{"duration":5}"#, &per_second()), Ok(Order { images: 0, seconds: 5 }));
        for also in ["5.0", "5e0", "50e-1", "\"5.0\"", "\"5e0\"", "null"] {
            let body = format!("{{\"duration\":{also}}}");
            assert_eq!(
                order(body.as_bytes(), &per_second()),
                Ok(Order { images: 0, seconds: 5 }),
                "{also}"
            );
        }
        for bad in [
            "\"7\"",
            "7",
            "-5",
            "5.5",
            "[5]",
            "\"\"",
            "true",
            "\" 5\"",
            "\"5 \"",
            "\"+5\"",
            "\"null\"",
            "\"NaN\"",
            "\"5\\u0030\"",
            "1e400",
        ] {
            let body = format!("{{\"duration\":{bad}}}");
            assert_eq!(
                order(body.as_bytes(), &per_second()),
                Err(vec!["duration must be one of \"5\", \"10\"".to_owned()]),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_number_of_images_outside_one_to_four_is_refused() {
        for bad in [
            "0",
            "5",
            "\"4\"",
            "1e9",
            "-1",
            "-0.0",
            "1.5",
            "[]",
            "{}",
            "true",
            "+1",
            "18446744073709551616",
            "\"null\"",
        ] {
            let body = format!("{{\"num_images\":{bad}}}");
            let problems = order(body.as_bytes(), &per_image()).expect_err(bad);
            assert_eq!(problems.len(), 1, "{bad}");
        }
    }

    #[test]
    fn a_deciding_member_cannot_hide_behind_a_duplicate() {
        for body in [
            r#"{"num_images":1,"num_images":4}"#,
            r#"{"num_images":1,"num\u005fimages":4}"#,
            r#"{"num_images":null,"num_images":4}"#,
        ] {
            assert_eq!(
                order(body.as_bytes(), &per_image()),
                Err(vec!["num_images is given twice".to_owned()])
            );
        }
    }

    #[test]
    fn what_is_not_one_json_object_is_refused() {
        for bad in [
            "",
            "null",
            "[]",
            "\"x\"",
            "1",
            "{",
            "{} {}",
            "{}x",
            "{\"a\":}",
            "{\"a\":1,}",
            "\u{feff}{}",
        ] {
            assert!(order(bad.as_bytes(), &per_image()).is_err(), "{bad}");
        }
    }

    #[test]
    fn invalid_json_is_named_even_where_nobody_looks() {
        let said = |body: &[u8]| order(body, &per_image()).expect_err("not JSON").join("; ");
        let bom = "the body begins with a byte order mark (BOM), which JSON does not have";
        assert_eq!(said(b"\xef\xbb\xbf{}"), bom);
        let not_utf8 = "the body is not UTF-8, as JSON must be: its first 11 bytes are";
        for body in [
            &b"{\"prompt\":\"\xff\"}"[..],
            b"{\"prompt\":\"\xc3\"}",
            b"{\"prompt\":\"\xed\xa0\x80\"}",
        ] {
            assert_eq!(said(body), not_utf8);
        }
        assert!(said(b"\xff\xfe{\0}\0").contains("its first 0 bytes"), "UTF-16");
        assert!(order("{\"prompt\":\"\u{feff}ä🦀\"}".as_bytes(), &per_image()).is_ok());
    }
}
