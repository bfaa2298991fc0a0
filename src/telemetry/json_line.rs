//! A JSON object on one line, written member by member into a buffer.

use std::fmt::Display;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::Value;

use crate::credits::Credits;
use crate::decimal::Decimal;
use crate::printable;

/// A line being written. Members keep the order in which they are added.
#[derive(Debug)]
pub struct JsonLine(Vec<u8>);

impl JsonLine {
    /// Starts a line: time (RFC 3339, UTC, milliseconds), level, message.
    #[must_use]
    pub fn new(at: Timestamp, level: &str, message: &str) -> Self {
        let mut line = Self(Vec::with_capacity(512));
        line.0.extend_from_slice(b"{\"ts\":\"");
        line.time(at);
        line.0.push(b'"');
        line.text("level", level);
        line.text("msg", message);
        line
    }

    /// Adds a string.
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.string(value);
    }

    /// Adds a string, if there is one.
    pub fn some_text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// Adds a whole number.
    pub fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        self.0.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Adds an amount of credits.
    pub fn credits(&mut self, name: &str, value: Credits) {
        self.name(name);
        self.0.extend_from_slice(value.decimal().as_bytes());
    }

    /// Adds a value whose `Display` form is valid JSON: a boolean or another kind of number.
    pub fn plain(&mut self, name: &str, value: impl Display) {
        self.name(name);
        // Writing to memory cannot fail.
        let _ = write!(self.0, "{value}");
    }

    /// Adds an address, in its own text form, which needs no escaping.
    pub fn address(&mut self, name: &str, address: IpAddr) {
        self.name(name);
        match address {
            // Every call has one, and the formatter would take several times as long.
            IpAddr::V4(address) => {
                for (place, octet) in address.octets().into_iter().enumerate() {
                    self.0.push(if place == 0 { b'"' } else { b'.' });
                    self.0.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
                }
                self.0.push(b'"');
            }
            // Writing to memory cannot fail.
            IpAddr::V6(address) => drop(write!(self.0, "\"{address}\"")),
        }
    }

    /// Adds a JSON value.
    pub fn value(&mut self, name: &str, value: &Value) {
        self.name(name);
        self.0.extend_from_slice(printable::to_json(value).unwrap_or_default().as_bytes());
    }

    /// Adds a time in milliseconds, to the microsecond.
    pub fn millis(&mut self, name: &str, time: Duration) {
        self.name(name);
        self.0.extend_from_slice(Decimal::millis(time).as_bytes());
    }

    /// The whole line with its newline.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"}\n");
        self.0
    }

    /// Writes what `{at:.3}` would, for four-digit years.
    fn time(&mut self, at: Timestamp) {
        let civil = Offset::UTC.to_datetime(at);
        let (date, time) = (civil.date(), civil.time());
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (place, number) in [
            (0..4, date.year()),
            (5..7, date.month().into()),
            (8..10, date.day().into()),
            (11..13, time.hour().into()),
            (14..16, time.minute().into()),
            (17..19, time.second().into()),
            (20..23, time.millisecond()),
        ] {
            let mut number = number.unsigned_abs();
            for digit in text[place].iter_mut().rev() {
                *digit += (number % 10).to_le_bytes()[0];
                number /= 10;
            }
        }
        self.0.extend_from_slice(&text);
    }

    /// Writes a name of ours, which needs no escaping.
    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// Escapes also bidirectional controls, which JSON does not: logs are read by people too.
    fn string(&mut self, value: &str) {
        // Nearly everything that is logged: no `&&`, so that the compiler can vectorize.
        let is_plain = |byte: u8| (b' '..0x7f).contains(&byte) & (byte != b'"') & (byte != b'\\');
        if value.bytes().fold(true, |all, byte| all & is_plain(byte)) {
            self.0.push(b'"');
            self.0.extend_from_slice(value.as_bytes());
            self.0.push(b'"');
        } else if value
            .chars()
            .all(|character| character.is_ascii() || printable::is_plain(character))
        {
            let _ = serde_json::to_writer(&mut self.0, value);
        } else {
            let quoted = serde_json::to_string(value).unwrap_or_default();
            self.0.extend_from_slice(printable::json(&quoted).as_bytes());
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_its_time_to_the_millisecond() {
        for at in [
            "2026-11-22T14:26:08.12345Z",
            "2000-02-29T00:00:00Z",
            "1970-01-01T00:00:00.0009Z",
            "2099-12-31T23:59:59.9999Z",
        ] {
            let at: Timestamp = at.parse().expect("a time");
            let line = String::from_utf8(JsonLine::new(at, "info", "").end()).expect("text");
            assert!(line.starts_with(&format!("{{\"ts\":\"{at:.3}\",")), "{at} {line}");
        }
    }

    #[test]
    fn an_address_is_written_as_it_is_displayed() {
        for text in ["0.10.200.255", "127.0.0.1", "::1", "2001:db8::1"] {
            let mut line = JsonLine(Vec::new());
            line.address("client", text.parse().expect(text));
            assert_eq!(String::from_utf8(line.0).expect("text"), format!(",\"client\":\"{text}\""));
        }
    }

    #[test]
    fn whatever_is_written_stays_one_object_on_one_line() {
        let at = "2026-11-22T14:26:08.12345Z".parse().expect("a time");
        let mut line = JsonLine::new(at, "info", "a \"quoted\"\nmessage");
        line.text("user", "a\u{0}b\\\u{1f600}");
        line.some_text("user_id", None);
        line.text("team", "ann\u{202e}nimda\u{200b}");
        line.value("before", &serde_json::json!({ "name": "\u{2066}" }));
        line.plain("status", 200);
        line.millis("duration_ms", Duration::from_micros(1_234_005));
        let text = String::from_utf8(line.end()).expect("text");
        assert_eq!(text.matches('\n').count(), 1);
        assert!(
            text.starts_with("{\"ts\":\"2026-11-22T14:26:08.123Z\",\"level\":\"info\",\"msg\":")
        );
        let object: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(object["user"], "a\u{0}b\\\u{1f600}");
        assert!(text.contains("\"team\":\"ann\\u202enimda\\u200b\""), "{text}");
        assert_eq!(
            (&object["team"], &object["before"]["name"]),
            (&"ann\u{202e}nimda\u{200b}".into(), &"\u{2066}".into())
        );
        assert!(text.trim_end().chars().all(printable::is_plain), "{text}");
        assert_eq!(object["duration_ms"], 1234.005);
        assert!(object.get("user_id").is_none());
    }
}
