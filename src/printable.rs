//! Escapes other people's text for display: control characters, bidirectional overrides and
//! invisible characters are written out.
//!
//! A name that someone chose ends up in an operator's terminal, a log viewer, a table. There it
//! must not move the cursor, look like another name (U+202E reverses what follows) or hide a part
//! of itself.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::io;

use serde::Serialize;
use serde::ser::Error as _;
use serde_json::ser::{Formatter, Serializer};

/// Most characters shown of an untrusted text.
const SHORT: usize = 128;

/// Whether a character is shown as it is.
#[must_use]
pub fn is_plain(character: char) -> bool {
    let is_written_out = match character {
        // Bidirectional controls (UAX #9), other invisible marks, and what some readers take for a
        // line end.
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        // Tags: invisible ASCII.
        '\u{e0000}'..='\u{e007f}' => true,
        // Control characters.
        _ => character.is_control(),
    };
    !is_written_out
}

/// A text whose unsafe characters are written as `\n` or `\u{202e}`.
#[derive(Clone, Copy)]
pub struct Printable<'a> {
    text: &'a str,
    chars_max: usize,
}

impl<'a> Printable<'a> {
    /// The whole text.
    #[must_use]
    pub const fn whole(text: &'a str) -> Self {
        Self { text, chars_max: usize::MAX }
    }

    /// Shows only the beginning: for untrusted text of any length.
    #[must_use]
    pub const fn short(text: &'a str) -> Self {
        Self { text, chars_max: SHORT }
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.text.chars();
        for character in characters.by_ref().take(self.chars_max) {
            if is_plain(character) {
                f.write_char(character)?;
            } else {
                write!(f, "{}", character.escape_default())?;
            }
        }
        if characters.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

/// Formats as `Display` does, so that a log field may use either.
impl fmt::Debug for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a name has no white space or invisible characters at its ends: ` ann` and `ann` look the
/// same in a list.
#[must_use]
pub fn is_trimmed(name: &str) -> bool {
    name.trim() == name
}

/// Escapes unsafe characters in JSON text. They can only be inside its strings.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    // Nearly all text; told apart byte by byte.
    let is_plain_ascii = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_plain_ascii || text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_plain(character) {
            written.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to memory cannot fail.
                let _ = write!(written, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(written)
}

/// Serializes to JSON that people read too: unsafe characters are escaped, and numbers are
/// decimals, `0.000002` and not `2e-6`.
///
/// # Errors
/// The value has no JSON form.
pub fn to_json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut written = Vec::with_capacity(256);
    value.serialize(&mut Serializer::with_formatter(&mut written, WithPoint))?;
    // JSON is UTF-8 for certain.
    let written = String::from_utf8(written).map_err(serde_json::Error::custom)?;
    // The whole text at once: string by string takes several times as long.
    let escaped = match json(&written) {
        Cow::Borrowed(_) => None,
        Cow::Owned(escaped) => Some(escaped),
    };
    Ok(escaped.unwrap_or(written))
}

/// Writes numbers as decimals.
struct WithPoint;

impl Formatter for WithPoint {
    fn write_f64<W: io::Write + ?Sized>(&mut self, writer: &mut W, number: f64) -> io::Result<()> {
        // Writes a decimal point, as JSON usually does: some readers distinguish 1.0 from 1.
        let point = if number.fract() == 0.0 { ".0" } else { "" };
        write!(writer, "{number}{point}")
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn control_and_invisible_characters_are_escaped_and_letters_are_not() {
        for (text, shown) in [
            ("groß 図 🌙 ann@example.com", "groß 図 🌙 ann@example.com"),
            ("a\nb\tc\u{1b}[31m\u{7f}\u{9b}", "a\\nb\\tc\\u{1b}[31m\\u{7f}\\u{9b}"),
            (
                "ann\u{202e}nimda\u{2066}\u{2069}\u{200f}",
                "ann\\u{202e}nimda\\u{2066}\\u{2069}\\u{200f}",
            ),
            (
                "ad\u{200b}min\u{feff}\u{2028}\u{e0061}",
                "ad\\u{200b}min\\u{feff}\\u{2028}\\u{e0061}",
            ),
        ] {
            assert_eq!(Printable::whole(text).to_string(), shown);
            assert_eq!(format!("{:?}", Printable::whole(text)), shown);
        }
    }

    #[test]
    fn what_a_stranger_sent_is_shown_in_part() {
        let long = "é".repeat(SHORT + 1);
        assert_eq!(Printable::short(&long).to_string(), format!("{}…", "é".repeat(SHORT)));
        assert_eq!(Printable::short(&long[2..]).to_string(), "é".repeat(SHORT));
    }

    #[test]
    fn json_says_the_same_in_plain_characters() {
        let value = serde_json::json!({ "name": "ann\u{202e}\n\u{7f}\u{e0061}\"", "n": [1, "é"] });
        let text = value.to_string();
        let written = json(&text);
        assert!(written.chars().all(is_plain), "{written}");
        assert!(written.contains("ann\\u202e\\n\\u007f\\udb40\\udc61"), "{written}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&written).expect("JSON"), value);
        assert!(matches!(json("{\"a\":\"é\"}"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_value_is_written_in_decimals_and_plain_characters() {
        let value = serde_json::json!({
            "name": "ann\u{202e}\n\u{9b}",
            "max": [0.000_002, 400.0, 0.025, 7, -1.5, 1e21],
        });
        let written = to_json(&value).expect("JSON");
        let numbers = "[0.000002,400.0,0.025,7,-1.5,1000000000000000000000.0]";
        assert_eq!(written, format!("{{\"max\":{numbers},\"name\":\"ann\\u202e\\n\\u009b\"}}"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&written).expect("JSON"), value);
    }
}
