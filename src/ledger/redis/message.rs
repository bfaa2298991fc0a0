//! Message to a script: lists of lists of words in sequence, with the length of each list.
//!
//! A script passes on commands from its arguments as they are; anything packed would have to be
//! built again. All lengths are in one word, since the server needs about as much work for each
//! word as for a small command.

use std::fmt::Display;
use std::io::Write as _;

use crate::store::Cmd;
use serde::Serialize;

/// Most fields or members in one command: the script passes them on as arguments, whose number is
/// limited.
const NAMED_MOST: usize = 1_000;

/// A message being written.
pub(super) struct Words {
    /// All words in sequence.
    bytes: Vec<u8>,
    /// End of each word.
    ends: Vec<usize>,
    /// Length of each list in two bytes, in the order in which the lists begin.
    numbers: Vec<u8>,
}

/// A list being written.
pub(super) struct List<'a> {
    words: &'a mut Words,
    items: u16,
}

impl Words {
    /// Empty, with room for a step of one call.
    pub(super) fn with_room() -> Self {
        Self {
            bytes: Vec::with_capacity(4 * 1024),
            ends: Vec::with_capacity(64),
            numbers: Vec::with_capacity(64),
        }
    }

    /// Writes a list.
    pub(super) fn list(&mut self, write: impl FnOnce(&mut List<'_>)) {
        let place = self.numbers.len();
        self.numbers.extend([0; 2]);
        let mut list = List { words: self, items: 0 };
        write(&mut list);
        let length = list.items.to_be_bytes();
        if let Some(number) = self.numbers.get_mut(place..place + 2) {
            number.copy_from_slice(&length);
        }
    }

    /// Writes a word.
    pub(super) fn word(&mut self, word: &str) {
        self.written(|bytes| bytes.extend_from_slice(word.as_bytes()));
    }

    /// Writes a displayed value as a word.
    pub(super) fn shown(&mut self, word: impl Display) {
        // Writing to memory cannot fail.
        self.written(|bytes| drop(write!(bytes, "{word}")));
    }

    /// Writes JSON as a word.
    pub(super) fn json(&mut self, record: &impl Serialize) {
        self.written(|bytes| drop(serde_json::to_writer(bytes, record)));
    }

    /// Writes a word with a function.
    pub(super) fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Appends all of it to a command, lengths first.
    pub(super) fn give_to(&self, command: &mut Cmd) {
        command.arg(&self.numbers);
        let mut start = 0;
        for end in &self.ends {
            command.arg(self.bytes.get(start..*end).unwrap_or_default());
            start = *end;
        }
    }

    /// Number of words, and their bytes.
    pub(super) const fn size(&self) -> (usize, usize) {
        (self.ends.len() + 1, self.bytes.len() + self.numbers.len() + 16 * (self.ends.len() + 1))
    }
}

impl List<'_> {
    /// Counts one more item, whose words follow.
    pub(super) const fn item(&mut self) -> &mut Words {
        self.items += 1;
        self.words
    }

    /// An item that is one word.
    pub(super) fn word(&mut self, word: &str) {
        self.item().word(word);
    }

    /// An item that is one number.
    pub(super) fn number(&mut self, number: impl itoa::Integer) {
        self.word(itoa::Buffer::new().format(number));
    }

    /// An item that is one displayed value.
    pub(super) fn shown(&mut self, word: impl Display) {
        self.item().shown(word);
    }

    /// A command: a list of words.
    pub(super) fn command(&mut self, write: impl FnOnce(&mut List<'_>)) {
        self.item().list(write);
    }

    /// A command of these words.
    pub(super) fn words(&mut self, words: &[&str]) {
        self.command(|command| words.iter().for_each(|word| command.word(word)));
    }

    /// Commands that begin with these words and name all of these, split where there are too many.
    pub(super) fn each<T>(
        &mut self,
        begins: &[&str],
        named: impl Iterator<Item = T>,
        write: impl Fn(&mut List<'_>, T),
    ) {
        let mut named = named.peekable();
        while named.peek().is_some() {
            self.command(|command| {
                begins.iter().for_each(|word| command.word(word));
                named.by_ref().take(NAMED_MOST).for_each(|one| write(command, one));
            });
        }
    }
}
