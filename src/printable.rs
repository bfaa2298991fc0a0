//! Text of others as it may be shown to people: what a terminal obeys, what turns the order of reading around and what cannot be
//! seen is written out.
//!
//! A name that someone chose ends up in an operator's terminal, in a log viewer, in a table. There it must neither move the
//! cursor, nor look like another name (U+202E turns what follows around), nor hide in part.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// How much of a text that nobody vouches for is shown, in characters.
const SHORT: usize = 128;

/// Whether a character is shown as it is.
#[must_use]
pub fn is_plain(character: char) -> bool {
    let is_written_out = match character {
        // The order of writing (UAX #9), other invisible marks, and what some readers take for the end of a line.
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        // Tags: ASCII that nobody sees.
        '\u{e0000}'..='\u{e007f}' => true,
        // Control characters.
        _ => character.is_control(),
    };
    !is_written_out
}

/// A text whose characters are shown as they are, or written as `\n` or `\u{202e}`.
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

    /// Its beginning: for what a stranger sent, which may be as long as it likes.
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

/// The same, so that it can stand as a field of a log line either way.
impl fmt::Debug for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a name begins and ends with something that is seen: ` ann` and `ann` look the same in a list and are not the same.
#[must_use]
pub fn is_trimmed(name: &str) -> bool {
    name.trim() == name
}

/// A text of JSON that says the same, with such characters written as JSON escapes them. They can only stand in its strings.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_plain(character) {
            written.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to memory does not fail.
                let _ = write!(written, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(written)
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_nobody_sees_is_written_out_and_letters_are_not() {
        for (text, shown) in [
            ("groß 図 🌙 ann@example.com", "groß 図 🌙 ann@example.com"),
            ("a\nb\tc\u{1b}[31m\u{7f}\u{9b}", "a\\nb\\tc\\u{1b}[31m\\u{7f}\\u{9b}"),
            ("ann\u{202e}nimda\u{2066}\u{2069}\u{200f}", "ann\\u{202e}nimda\\u{2066}\\u{2069}\\u{200f}"),
            ("ad\u{200b}min\u{feff}\u{2028}\u{e0061}", "ad\\u{200b}min\\u{feff}\\u{2028}\\u{e0061}"),
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
}
