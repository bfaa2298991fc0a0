//! Message to a script: lists of lists of arguments in sequence, with the length of each list.
//!
//! A script passes on commands from its arguments as they are; anything packed would have to be
//! built again. All lengths are in one argument, since the server needs about as much work for each
//! as for a small command.

use std::fmt::Display;
use std::io::Write as _;

use crate::store::Cmd;
use serde::Serialize;

/// Most fields or members in one command: the script passes them on as arguments, whose number is
/// limited.
const NAMED_MAX: usize = 1_000;

/// A message being written.
pub(super) struct Arguments {
    /// All arguments in sequence.
    bytes: Vec<u8>,
    /// End of each argument.
    ends: Vec<usize>,
    /// Length of each list in two bytes, in the order in which the lists begin.
    numbers: Vec<u8>,
}

/// A list being written.
pub(super) struct List<'a> {
    arguments: &'a mut Arguments,
    items: u16,
}

impl Arguments {
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
        let mut list = List { arguments: self, items: 0 };
        write(&mut list);
        let length = list.items.to_be_bytes();
        if let Some(number) = self.numbers.get_mut(place..place + 2) {
            number.copy_from_slice(&length);
        }
    }

    /// Writes a argument.
    pub(super) fn argument(&mut self, argument: &str) {
        self.written(|bytes| bytes.extend_from_slice(argument.as_bytes()));
    }

    /// Writes a displayed value as a argument.
    pub(super) fn shown(&mut self, argument: impl Display) {
        // Writing to memory cannot fail.
        self.written(|bytes| drop(write!(bytes, "{argument}")));
    }

    /// Writes JSON as a argument.
    pub(super) fn json(&mut self, record: &impl Serialize) {
        self.written(|bytes| drop(serde_json::to_writer(bytes, record)));
    }

    /// Writes a argument with a function.
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

    /// Number of arguments, and their bytes.
    pub(super) const fn size(&self) -> (usize, usize) {
        (self.ends.len() + 1, self.bytes.len() + self.numbers.len() + 16 * (self.ends.len() + 1))
    }
}

impl List<'_> {
    /// Counts one more item, whose arguments follow.
    pub(super) const fn item(&mut self) -> &mut Arguments {
        self.items += 1;
        self.arguments
    }

    /// An item that is one argument.
    pub(super) fn argument(&mut self, argument: &str) {
        self.item().argument(argument);
    }

    /// An item that is one number.
    pub(super) fn number(&mut self, number: impl itoa::Integer) {
        self.argument(itoa::Buffer::new().format(number));
    }

    /// An item that is one displayed value.
    pub(super) fn shown(&mut self, argument: impl Display) {
        self.item().shown(argument);
    }

    /// A command: a list of arguments.
    pub(super) fn command(&mut self, write: impl FnOnce(&mut List<'_>)) {
        self.item().list(write);
    }

    /// A command of these arguments.
    pub(super) fn arguments(&mut self, arguments: &[&str]) {
        self.command(|command| arguments.iter().for_each(|argument| command.argument(argument)));
    }

    /// Commands that begin with these arguments and name all of these, split where there are too many.
    pub(super) fn each<T>(
        &mut self,
        begins: &[&str],
        named: impl Iterator<Item = T>,
        write: impl Fn(&mut List<'_>, T),
    ) {
        let mut named = named.peekable();
        while named.peek().is_some() {
            self.command(|command| {
                begins.iter().for_each(|argument| command.argument(argument));
                named.by_ref().take(NAMED_MAX).for_each(|one| write(command, one));
            });
        }
    }
}
