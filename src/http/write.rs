//! Header values written digit by digit, without `fmt` and with one allocation for all values of an
//! answer.

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::decimal::Decimal;

/// More than the bytes of all values in an admitted call's answer.
const BYTES: usize = 320;

/// Writes headers into a map: first the parts of a value, then the name it is for.
pub struct HeaderWriter<'a> {
    headers: &'a mut HeaderMap,
    /// Text that belongs to no header yet. Finished values share its allocation.
    text: BytesMut,
}

impl<'a> HeaderWriter<'a> {
    /// Adds headers to these.
    pub fn new(headers: &'a mut HeaderMap) -> Self {
        Self { headers, text: BytesMut::new() }
    }

    /// Appends text: visible ASCII.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Appends a decimal number.
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

    /// Appends a number.
    pub fn number(&mut self, number: impl itoa::Integer) -> &mut Self {
        self.text(itoa::Buffer::new().format(number))
    }

    /// Ends the value and sets it as this header.
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
        writer
            .text("\"x\";t=")
            .number(-1_i64)
            .text(&"y".repeat(2 * BYTES))
            .insert(HeaderName::from_static("b"));
        writer.number(u64::MAX).insert(HeaderName::from_static("a"));
        assert_eq!(headers["a"], "18446744073709551615");
        assert_eq!(headers["b"], format!("\"x\";t=-1{}", "y".repeat(2 * BYTES)));
        assert_eq!(headers.len(), 2);
    }
}
