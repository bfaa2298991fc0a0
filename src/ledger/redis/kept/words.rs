//! The words that a script is given: lists of lists of words, one after another, each list behind the number of its items.
//!
//! A script takes a command out of its arguments as it stands; whatever had to be unpacked first would be made anew for it.

use redis::Cmd;

/// What is written.
#[derive(Default)]
pub(super) struct Words(Vec<Vec<u8>>);

/// A list that grows: its length is written when it ends.
pub(super) struct List {
    place: usize,
    items: usize,
}

impl Words {
    /// Begins a list of which the length is not known yet.
    pub(super) fn begin(&mut self) -> List {
        self.0.push(Vec::new());
        List { place: self.0.len() - 1, items: 0 }
    }

    /// Ends it.
    pub(super) fn end(&mut self, list: &List) {
        if let Some(length) = self.0.get_mut(list.place) {
            *length = list.items.to_string().into_bytes();
        }
    }

    /// A word of any bytes.
    pub(super) fn word(&mut self, word: impl Into<Vec<u8>>) {
        self.0.push(word.into());
    }

    /// Gives all of them to a command.
    pub(super) fn give_to(&self, command: &mut Cmd) {
        for word in &self.0 {
            command.arg(word.as_slice());
        }
    }

    /// How many bytes they take.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|word| word.len() + 16).sum()
    }
}

impl List {
    /// One item more is written.
    pub(super) const fn item(&mut self) {
        self.items += 1;
    }
}
