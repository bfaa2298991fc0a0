//! The words that a script is given: lists of lists of words, one after another, and how many items each list has.
//!
//! A script takes a command out of its arguments as it stands; whatever had to be unpacked first would be made anew for
//! it. The lengths of the lists go together in one word: for the server each word is about as much work as a small
//! command.

use std::fmt::Display;
use std::io::Write as _;

use crate::store::Cmd;
use serde::Serialize;

/// How many fields or members one command names at most: the script hands them on as arguments, which are bounded.
const NAMED_MOST: usize = 1_000;

/// What is written.
pub(super) struct Words {
    /// All words, one after another.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// How many items each list has, in two bytes, in the order in which the lists begin.
    numbers: Vec<u8>,
}

/// A list that is being written.
pub(super) struct List<'a> {
    words: &'a mut Words,
    items: u16,
}

impl Words {
    /// None yet, but room for a step of one call.
    pub(super) fn with_room() -> Self {
        Self { bytes: Vec::with_capacity(4 * 1024), ends: Vec::with_capacity(64), numbers: Vec::with_capacity(64) }
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

    /// A word.
    pub(super) fn word(&mut self, word: &str) {
        self.written(|bytes| bytes.extend_from_slice(word.as_bytes()));
    }

    /// A word that is shown as people read it.
    pub(super) fn shown(&mut self, word: impl Display) {
        // Nothing fails that is written to memory.
        self.written(|bytes| drop(write!(bytes, "{word}")));
    }

    /// A word of JSON.
    pub(super) fn json(&mut self, record: &impl Serialize) {
        self.written(|bytes| drop(serde_json::to_writer(bytes, record)));
    }

    /// A word of what is written.
    pub(super) fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Gives all of them to a command, the lengths of the lists first.
    pub(super) fn give_to(&self, command: &mut Cmd) {
        command.arg(&self.numbers);
        let mut start = 0;
        for end in &self.ends {
            command.arg(self.bytes.get(start..*end).unwrap_or_default());
            start = *end;
        }
    }

    /// How many there are, and how many bytes they take.
    pub(super) const fn size(&self) -> (usize, usize) {
        (self.ends.len() + 1, self.bytes.len() + self.numbers.len() + 16 * (self.ends.len() + 1))
    }
}

impl List<'_> {
    /// One item more, of as many words as one has.
    pub(super) const fn item(&mut self) -> &mut Words {
        self.items += 1;
        self.words
    }

    /// An item of one word.
    pub(super) fn word(&mut self, word: &str) {
        self.item().word(word);
    }

    /// Likewise, of a number.
    pub(super) fn number(&mut self, number: impl itoa::Integer) {
        self.word(itoa::Buffer::new().format(number));
    }

    /// Likewise, one that is shown as people read it.
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

    /// Commands that begin with these words and name all of these, as many as one takes.
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
