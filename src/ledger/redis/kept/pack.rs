//! Writes MessagePack: arrays of arrays, texts and numbers, as a script unpacks them.
//!
//! Only what is needed of <https://github.com/msgpack/msgpack/blob/master/spec.md>.

/// What is written.
#[derive(Default)]
pub(super) struct Pack(Vec<u8>);

/// An array that grows: its length is written when it ends.
pub(super) struct Array {
    starts: usize,
    items: u32,
}

impl Pack {
    /// Begins an array of which the length is not known yet.
    pub(super) fn begin(&mut self) -> Array {
        self.0.extend_from_slice(&[0xdd, 0, 0, 0, 0]);
        Array { starts: self.0.len(), items: 0 }
    }

    /// Ends it.
    pub(super) fn end(&mut self, array: &Array) {
        if let Some(length) = self.0.get_mut(array.starts - 4..array.starts) {
            length.copy_from_slice(&array.items.to_be_bytes());
        }
    }

    /// A text of any bytes.
    pub(super) fn text(&mut self, text: &[u8]) {
        // Nothing that is written comes near 4 GiB.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
        match text.len() {
            0..=31 => self.0.push(0xa0 | length[3]),
            32..=0xff => self.0.extend_from_slice(&[0xd9, length[3]]),
            0x100..=0xffff => self.0.extend_from_slice(&[0xda, length[2], length[3]]),
            0x1_0000.. => self.0.extend_from_slice(&[0xdb, length[0], length[1], length[2], length[3]]),
        }
        self.0.extend_from_slice(text);
    }

    /// What Lua knows as `false`: what a command answers of something that is not there.
    pub(super) fn nothing(&mut self) {
        self.0.push(0xc2);
    }

    /// What was written.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl Array {
    /// One item more is written.
    pub(super) const fn item(&mut self) {
        self.items += 1;
    }
}
