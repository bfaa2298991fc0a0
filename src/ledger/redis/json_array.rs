//! Writes JSON arrays. Every call writes two records as arrays, and serde takes several times as
//! long.

/// Writes an array with these elements.
pub(super) fn array(bytes: &mut Vec<u8>, elements: impl FnOnce(&mut Elements<'_>)) {
    bytes.push(b'[');
    elements(&mut Elements { bytes, is_first: true });
    bytes.push(b']');
}

/// The elements of an array.
pub(super) struct Elements<'a> {
    bytes: &'a mut Vec<u8>,
    is_first: bool,
}

impl Elements<'_> {
    /// Adds a number.
    pub(super) fn number(&mut self, number: impl itoa::Integer) {
        self.next().extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Adds a number, or `null`.
    pub(super) fn number_or_null(&mut self, number: Option<u64>) {
        match number {
            Some(number) => self.number(number),
            None => self.next().extend_from_slice(b"null"),
        }
    }

    /// Adds a string.
    pub(super) fn text(&mut self, text: &str) {
        let bytes = self.next();
        // No early end, so that the compiler can look at many bytes at once.
        let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
        if text.bytes().fold(false, |any, byte| any | is_special(byte)) {
            // Cannot fail: it goes to memory.
            drop(serde_json::to_writer(bytes, text));
        } else {
            bytes.push(b'"');
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(b'"');
        }
    }

    /// Adds a string, or `null`.
    pub(super) fn text_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.next().extend_from_slice(b"null"),
        }
    }

    /// Adds an array.
    pub(super) fn array(&mut self, elements: impl FnOnce(&mut Elements<'_>)) {
        array(self.next(), elements);
    }

    /// Where the next element is to be written, as JSON.
    pub(super) fn next(&mut self) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.is_first, false) {
            self.bytes.push(b',');
        }
        self.bytes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_written_as_serde_writes_it() {
        let texts = ["", "plain", "ä\u{7f}é", "\"", "a\\b", "\n\u{1}", "{[,]}"];
        let mut bytes = Vec::new();
        array(&mut bytes, |list| {
            list.number(u64::MAX);
            list.number(i64::MIN);
            list.array(|_| {});
            list.array(|list| texts.iter().for_each(|text| list.text(text)));
            list.number_or_null(Some(7));
            list.number_or_null(None);
            list.text_or_null(Some("x"));
            list.text_or_null(None);
        });
        let nothing: [u8; 0] = [];
        let none: (Option<u64>, Option<&str>) = (None, None);
        let all = (u64::MAX, i64::MIN, nothing, texts, Some(7), none.0, Some("x"), none.1);
        assert_eq!(String::from_utf8(bytes).unwrap(), serde_json::to_string(&all).unwrap());
    }
}
