//! Message to a script: lists of arguments in sequence, and a head with the length of each list.
//!
//! A script passes on commands from its arguments as they are; anything packed would have to be
//! built again. The server needs about as much work for each argument as for a small command, and
//! some for each byte. So the numbers are in one argument, and what the script knows is not sent.

use crate::store::Cmd;
use serde::Serialize;

/// Most fields or members in one command: the script passes them on as arguments, whose number is
/// limited.
const NAMED_MAX: usize = 1_000;

/// How a command begins. The script writes the common beginnings itself, by number.
#[derive(Clone, Copy)]
pub(super) enum Begins<'a> {
    /// A command with these arguments.
    With(&'a [&'a str]),
    /// `HSET`, the team's state.
    SetState,
    /// `HDEL`, the team's state.
    DropState,
    /// `ZADD`, the deadlines.
    AddDue,
    /// `ZREM`, the deadlines.
    DropDue,
    /// `LPUSH`, the rows of paid calls.
    PushPaid,
}

/// A message being written.
pub(super) struct Arguments {
    /// All arguments in sequence.
    bytes: Vec<u8>,
    /// End of each argument.
    ends: Vec<usize>,
    /// Number of items of each list in two bytes.
    lists: Vec<u8>,
    /// The beginning of each command in one byte, and the number of its arguments in two.
    commands: Vec<u8>,
    /// The first argument of the new calls among what is written, and how many they are.
    news: (usize, u16),
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
            lists: Vec::with_capacity(16),
            commands: Vec::with_capacity(64),
            news: (0, 0),
        }
    }

    /// Writes a list.
    pub(super) fn list(&mut self, write: impl FnOnce(&mut List<'_>)) {
        let items = self.items_of(write);
        self.lists.extend(items.to_be_bytes());
    }

    fn items_of(&mut self, write: impl FnOnce(&mut List<'_>)) -> u16 {
        let mut list = List { arguments: self, items: 0 };
        write(&mut list);
        list.items
    }

    /// Writes an argument.
    pub(super) fn argument(&mut self, argument: &str) {
        self.written(|bytes| bytes.extend_from_slice(argument.as_bytes()));
    }

    /// Writes a number as an argument.
    pub(super) fn number(&mut self, number: impl itoa::Integer) {
        self.argument(itoa::Buffer::new().format(number));
    }

    /// Writes JSON as an argument.
    pub(super) fn json(&mut self, record: &impl Serialize) {
        // Writing to memory cannot fail.
        self.written(|bytes| drop(serde_json::to_writer(bytes, record)));
    }

    /// Writes an argument with a function.
    pub(super) fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// The head: two moments in microseconds, where the new calls are among the arguments and how
    /// many they are, the length of each list, and the commands. The script has `before` other
    /// arguments before these.
    #[allow(clippy::cast_precision_loss, reason = "a script has no other numbers")]
    pub(super) fn head(&self, from: i64, until: i64, before: usize) -> Vec<u8> {
        let (first, count) = self.news;
        let first = u32::try_from(before + first + 1).unwrap_or(u32::MAX);
        let mut head = Vec::with_capacity(64 + self.commands.len());
        head.extend((from as f64).to_be_bytes());
        head.extend((until as f64).to_be_bytes());
        head.extend(first.to_be_bytes());
        head.extend(count.to_be_bytes());
        head.extend_from_slice(&self.lists);
        head.extend_from_slice(&self.commands);
        head
    }

    /// Appends all arguments to a command.
    pub(super) fn give_to(&self, command: &mut Cmd) {
        let mut start = 0;
        for end in &self.ends {
            command.arg(self.bytes.get(start..*end).unwrap_or_default());
            start = *end;
        }
    }

    /// Number of arguments, and their bytes.
    pub(super) const fn size(&self) -> (usize, usize) {
        (self.ends.len(), self.bytes.len() + 16 * self.ends.len())
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
        self.item().number(number);
    }

    /// An item that is one argument, written by a function.
    pub(super) fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.item().written(write);
    }

    /// A command: how it begins, and its other arguments.
    pub(super) fn command(&mut self, begins: Begins<'_>, write: impl FnOnce(&mut List<'_>)) {
        let arguments = self.item();
        let place = arguments.commands.len();
        arguments.commands.extend([begins.number(), 0, 0]);
        let length = arguments.items_of(|list| {
            if let Begins::With(arguments) = begins {
                arguments.iter().for_each(|argument| list.argument(argument));
            }
            write(list);
        });
        if let Some(bytes) = arguments.commands.get_mut(place + 1..place + 3) {
            bytes.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// A command of these arguments.
    pub(super) fn arguments(&mut self, arguments: &[&str]) {
        self.command(Begins::With(arguments), |_| {});
    }

    /// Commands that begin like this and name all of these, split where there are too many.
    pub(super) fn each<T>(
        &mut self,
        begins: Begins<'_>,
        named: impl Iterator<Item = T>,
        write: impl Fn(&mut List<'_>, T),
    ) {
        let mut named = named.peekable();
        while named.peek().is_some() {
            self.command(begins, |command| {
                named.by_ref().take(NAMED_MAX).for_each(|one| write(command, one));
            });
        }
    }

    /// Notes that the next item is the field of a new call. All new calls follow each other, each
    /// with its record.
    pub(super) const fn note_new(&mut self) {
        if self.arguments.news.1 == 0 {
            self.arguments.news.0 = self.arguments.ends.len();
        }
        self.arguments.news.1 += 1;
    }
}

impl Begins<'_> {
    /// The number by which the script knows it.
    const fn number(self) -> u8 {
        match self {
            Self::With(_) => 0,
            Self::SetState => 1,
            Self::DropState => 2,
            Self::AddDue => 3,
            Self::DropDue => 4,
            Self::PushPaid => 5,
        }
    }
}
