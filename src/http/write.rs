//! Headers with values that are written digit by digit: no `fmt`, and one allocation for all values of an answer.

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::decimal::Decimal;

/// How many bytes of values an admitted call's answer has, and some more.
const BYTES: usize = 320;

/// Writes headers into a map: the parts of a value one after another, then the name that it is for.
pub struct HeaderWriter<'a> {
    headers: &'a mut HeaderMap,
    /// What was written and belongs to no header yet. Values that were taken off it share its allocation.
    text: BytesMut,
}

impl<'a> HeaderWriter<'a> {
    /// Headers will be added to these.
    pub fn new(headers: &'a mut HeaderMap) -> Self {
        Self { headers, text: BytesMut::new() }
    }

    /// Goes on with this text: visible ASCII.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Goes on with this decimal number.
    pub fn decimal(&mut self, number: Decimal) -> &mut Self {
        self.bytes(number.as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        if self.text.capacity() == 0 {
            self.text.reserve(BYTES);
        }
        self.text.extend_from_slice(bytes);
        self
    }

    /// Goes on with this number.
    pub fn number(&mut self, number: impl itoa::Integer) -> &mut Self {
        self.text(itoa::Buffer::new().format(number))
    }

    /// Ends the value: it is this header's.
    pub fn insert(&mut self, name: HeaderName) {
        if let Ok(value) = HeaderValue::from_maybe_shared(self.text.split().freeze()) {
            self.headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_header_has_what_was_written_since_the_last_one() {
        let mut headers = HeaderMap::new();
        let mut writer = HeaderWriter::new(&mut headers);
        writer.number(60_u64).insert(HeaderName::from_static("a"));
        writer.text("\"x\";t=").number(-1_i64).text(&"y".repeat(2 * BYTES)).insert(HeaderName::from_static("b"));
        writer.number(u64::MAX).insert(HeaderName::from_static("a"));
        assert_eq!(headers["a"], "18446744073709551615");
        assert_eq!(headers["b"], format!("\"x\";t=-1{}", "y".repeat(2 * BYTES)));
        assert_eq!(headers.len(), 2);
    }
}
