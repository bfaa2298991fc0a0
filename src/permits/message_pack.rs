//! Writes one flat MessagePack array of integers and strings, which a script parses faster than
//! anything else.
//!
//! Only the needed part of <https://github.com/msgpack/msgpack/blob/master/spec.md>. Integers stay
//! exact, unlike in JSON as Redis reads it.

/// An array being written.
pub(super) struct Packed {
    bytes: Vec<u8>,
    items: u32,
}

/// `array 32`: the marker and the number of items.
const HEAD: usize = 5;

impl Packed {
    pub(super) fn new() -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(&[0xdd, 0, 0, 0, 0]);
        Self { bytes, items: 0 }
    }

    pub(super) fn number(&mut self, number: u64) {
        self.items += 1;
        let bytes = number.to_be_bytes();
        match number {
            0..=0x7f => self.bytes.push(bytes[7]),
            0x80..=0xff => self.marked(0xcc, &bytes[7..]),
            0x100..=0xffff => self.marked(0xcd, &bytes[6..]),
            0x1_0000..=0xffff_ffff => self.marked(0xce, &bytes[4..]),
            0x1_0000_0000.. => self.marked(0xcf, &bytes),
        }
    }

    pub(super) fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    pub(super) fn text(&mut self, text: &str) {
        self.items += 1;
        // No text written here is near 4 GiB.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
        match text.len() {
            0..=31 => self.bytes.push(0xa0 | length[3]),
            32..=0xff => self.marked(0xd9, &length[3..]),
            0x100..=0xffff => self.marked(0xda, &length[2..]),
            0x1_0000.. => self.marked(0xdb, &length),
        }
        self.bytes.extend_from_slice(text.as_bytes());
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes[1..HEAD].copy_from_slice(&self.items.to_be_bytes());
        self.bytes
    }

    fn marked(&mut self, marker: u8, bytes: &[u8]) {
        self.bytes.push(marker);
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_take_the_shortest_form_that_holds_them() {
        let mut packed = Packed::new();
        for number in [0, 127, 128, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296] {
            packed.number(number);
        }
        packed.text("ab");
        packed.text(&"x".repeat(32));
        let bytes = packed.finish();
        assert_eq!(bytes[..5], [0xdd, 0, 0, 0, 11]);
        let numbers = [
            &[0][..],
            &[127],
            &[0xcc, 128],
            &[0xcc, 255],
            &[0xcd, 1, 0],
            &[0xcd, 255, 255],
            &[0xce, 0, 1, 0, 0],
            &[0xce, 255, 255, 255, 255],
            &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0],
            &[0xa2, b'a', b'b'],
            &[0xd9, 32],
        ]
        .concat();
        assert_eq!(bytes[5..5 + numbers.len()], numbers);
    }
}
