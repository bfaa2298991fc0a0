//! Encodes a step for the script: what to mark, check and read.

use super::keys::{Keys, cell, field};
use super::message::{Arguments, List};
use super::record_text;
use super::writes::{self, NOTHING, SKIP_LIST};
use crate::ledger::Retention;
use crate::ledger::keeper::{Expected, FOR_EVER, Mark, OLDEST_MAX, OVERDUE_MAX, Step, Wanted};

/// Most scopes to be forgotten that one answer lists.
const PAST_MAX: &str = "128";

/// The expected revision, as the script compares it.
pub(super) fn expected(step: &Step) -> Vec<u8> {
    let mut text = Vec::with_capacity(64);
    match step.expected {
        Expected::Anything => text.push(b'?'),
        Expected::Nothing(_) => {}
        Expected::Revision(revision) => record_text::numbers(&mut text, &revision.to_numbers()),
    }
    text
}

/// Sender of a step.
pub(super) struct Sender<'a> {
    /// Name of the process among those that take turns.
    pub(super) process: &'a str,
    /// Time in place of the server's, in microseconds.
    pub(super) now: Option<u64>,
}

/// The step's arguments, in the order in which the script reads them.
pub(super) fn arguments(
    step: &Step,
    sender: &Sender<'_>,
    keys: &Keys,
    retention: &Retention,
) -> Arguments {
    let mut arguments = Arguments::with_room();
    arguments.list(|list| {
        if step.wants_turn {
            list.argument(sender.process);
        }
    });
    arguments.list(|list| sender.now.into_iter().for_each(|now| list.shown(now)));
    arguments.list(|list| unopened(list, step));
    arguments.list(|list| marks(list, step));
    arguments.list(|list| always(list, step, keys));
    arguments.list(|list| overdue(list, step, keys));
    arguments.list(|list| {
        if step.is_made() {
            writes::write(list, step, keys, retention);
        }
    });
    arguments.list(|list| {
        if step.reads {
            reads(list, &step.wanted, step.from, keys);
        }
    });
    arguments
}

fn unopened(list: &mut List<'_>, step: &Step) {
    step.unopened.iter().for_each(|id| list.item().shown(field::call(*id)));
}

fn marks(list: &mut List<'_>, step: &Step) {
    for Mark { id, from, to } in &step.marks {
        let arguments = list.item();
        arguments.shown(field::call(*id));
        arguments.shown(record_text::phase_text(from));
        arguments.shown(record_text::phase_text(to));
    }
}

fn always(list: &mut List<'_>, step: &Step, keys: &Keys) {
    list.each(&["ZADD", &keys.due, "XX"], step.renewed.iter(), |command, id| {
        command.number(step.deadline);
        command.shown(id);
    });
}

fn overdue(list: &mut List<'_>, step: &Step, keys: &Keys) {
    for (id, deadline, record) in &step.overdue {
        let arguments = list.item();
        arguments.shown(field::call(*id));
        arguments.shown(record_text::phase_text(record));
        arguments.argument(&keys.due);
        arguments.shown(id);
        arguments.shown(deadline);
    }
}

/// Days of the requested cells, in the order in which they are read.
pub(super) fn days_of(wanted: &Wanted) -> Vec<&String> {
    let mut days: Vec<&String> = wanted.cells.iter().map(|name| &name.day).collect();
    days.dedup();
    days
}

fn reads(list: &mut List<'_>, wanted: &Wanted, from: i64, keys: &Keys) {
    list.command(|command| {
        ["HMGET", keys.state.as_str(), field::TEAM]
            .iter()
            .for_each(|argument| command.argument(argument));
        wanted.scopes.iter().for_each(|name| command.shown(field::scope(name)));
        wanted.calls.iter().for_each(|id| command.shown(field::call(*id)));
        wanted.days.iter().for_each(|day| command.shown(field::day(day)));
        wanted.top_ups.iter().for_each(|id| command.shown(field::top_up(id)));
        wanted.restored.iter().for_each(|id| command.shown(field::restored(*id)));
    });
    for day in days_of(wanted) {
        list.command(|command| {
            ["HMGET", &keys.usage(day)].iter().for_each(|argument| command.argument(argument));
            wanted
                .cells
                .iter()
                .filter(|name| name.day == *day)
                .for_each(|name| command.shown(cell(name)));
        });
    }
    let now = from.to_string();
    if wanted.due {
        let (most, after) = (OVERDUE_MAX.to_string(), format!("({now}"));
        list.arguments(&["ZSCORE", &keys.due, SKIP_LIST]);
        list.arguments(&[
            "ZRANGEBYSCORE",
            &keys.due,
            "-inf",
            &now,
            "WITHSCORES",
            "LIMIT",
            "0",
            &most,
        ]);
        list.arguments(&[
            "ZRANGEBYSCORE",
            &keys.due,
            &after,
            &format!("({FOR_EVER}"),
            "WITHSCORES",
            "LIMIT",
            "0",
            "1",
        ]);
    }
    if wanted.past {
        list.arguments(&["ZSCORE", &keys.ends, NOTHING]);
        list.arguments(&["ZRANGEBYSCORE", &keys.ends, "-inf", &now, "LIMIT", "0", PAST_MAX]);
    }
    if wanted.oldest {
        for key in &keys.rows {
            list.arguments(&["LRANGE", key, &format!("-{OLDEST_MAX}"), "-1"]);
        }
    }
    if wanted.all {
        list.arguments(&["HGETALL", &keys.state]);
    }
}
