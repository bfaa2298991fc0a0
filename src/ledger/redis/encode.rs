//! Encodes a step for the script: what to mark, check and read.

use super::keys::{Keys, cell, field, member};
use super::message::{Arguments, Begins, List};
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
        Expected::Nothing(mark) => record_text::number(&mut text, mark.left_at),
        Expected::Revision(revision) => record_text::numbers(&mut text, revision.to_numbers()),
    }
    text
}

/// Sender of a step.
pub(super) struct Sender<'a> {
    /// The first digits of the replication id of the server that a step is for, if the connection
    /// may lead to another one.
    pub(super) server: Option<String>,
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
    arguments.list(|list| sender.server.iter().for_each(|server| list.argument(server)));
    arguments.list(|list| {
        if step.wants_turn {
            list.argument(sender.process);
        }
    });
    arguments.list(|list| sender.now.into_iter().for_each(|now| list.number(now)));
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

/// Calls that must not be open. Those that the step opens are named there.
fn unopened(list: &mut List<'_>, step: &Step) {
    let others = step.unopened.iter().filter(|id| !step.changes.opened.contains_key(id));
    others.for_each(|id| list.written(field::call(*id)));
}

fn marks(list: &mut List<'_>, step: &Step) {
    for Mark { id, from, to } in &step.marks {
        let arguments = list.item();
        arguments.written(field::call(*id));
        arguments.written(|bytes| record_text::phase(bytes, from));
        arguments.written(|bytes| record_text::phase(bytes, to));
    }
}

fn always(list: &mut List<'_>, step: &Step, keys: &Keys) {
    if step.renewed.is_empty() {
        return;
    }
    list.each(Begins::With(&["ZADD", &keys.due, "XX"]), step.renewed.iter(), |command, id| {
        command.number(step.deadline);
        command.written(member(*id));
    });
}

fn overdue(list: &mut List<'_>, step: &Step, keys: &Keys) {
    for (id, deadline, record) in &step.overdue {
        let arguments = list.item();
        arguments.written(field::call(*id));
        arguments.written(|bytes| record_text::phase(bytes, record));
        arguments.argument(&keys.due);
        arguments.written(member(*id));
        arguments.number(*deadline);
    }
}

/// Days of the requested cells, in the order in which they are read.
pub(super) fn days_of(wanted: &Wanted) -> Vec<&String> {
    let mut days: Vec<&String> = wanted.cells.iter().map(|name| &name.day).collect();
    days.dedup();
    days
}

fn reads(list: &mut List<'_>, wanted: &Wanted, from: i64, keys: &Keys) {
    list.command(Begins::With(&["HMGET", keys.state.as_str(), field::TEAM]), |command| {
        wanted.scopes.iter().for_each(|name| command.written(field::scope(name)));
        wanted.calls.iter().for_each(|id| command.written(field::call(*id)));
        wanted.days.iter().for_each(|day| command.written(field::day(day)));
        wanted.top_ups.iter().for_each(|id| command.written(field::top_up(id)));
        wanted.restored.iter().for_each(|id| command.written(field::restored(*id)));
    });
    for day in days_of(wanted) {
        list.command(Begins::With(&["HMGET", &keys.usage(day)]), |command| {
            wanted
                .cells
                .iter()
                .filter(|name| name.day == *day)
                .for_each(|name| command.written(cell(name)));
        });
    }
    let now = from.to_string();
    if wanted.due {
        let due = &keys.due;
        let (most, after) = (OVERDUE_MAX.to_string(), format!("({now}"));
        list.arguments(&["ZSCORE", due, SKIP_LIST]);
        list.arguments(&["ZRANGEBYSCORE", due, "-inf", &now, "WITHSCORES", "LIMIT", "0", &most]);
        list.arguments(&[
            "ZRANGEBYSCORE",
            due,
            &after,
            &format!("({FOR_EVER}"),
            "WITHSCORES",
            "LIMIT",
            "0",
            "1",
        ]);
    }
    if wanted.past {
        let ends = &keys.ends;
        list.arguments(&["ZSCORE", ends, NOTHING]);
        list.arguments(&["ZRANGEBYSCORE", ends, "-inf", &now, "LIMIT", "0", PAST_MAX]);
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::super::keys::text;
    use super::*;
    use crate::ledger::ReservationId;
    use crate::ledger::keeper::Changes;
    use crate::ledger::machine::{ReservationRecord, Revision};
    use crate::store::cmd;
    use crate::team::TeamId;

    /// The second is refused in the same batch, so nothing is written of it.
    #[test]
    fn a_new_call_is_named_once_where_it_is_written() {
        let ids = [ReservationId::new(), ReservationId::new()];
        let record: ReservationRecord = serde_json::from_str(
            r#"{"dispatched":true,"price":5,"admitted_at":1,"deadline":2,"scopes":[],
            "windows":{"day":"2026-11-29","month":"2026-11"},
            "asked":{"request_id":"r","user":"u","credential":"c","model":"m"}}"#,
        )
        .unwrap();
        let changes =
            Changes { opened: [(ids[0], record)].into_iter().collect(), ..Changes::default() };
        let step = Step {
            expected: Expected::Revision(Revision::default()),
            unopened: ids.into(),
            changes,
            ..Step::reading(0, Wanted::default(), Vec::new(), 0)
        };
        let retention = Retention { rows: Duration::ZERO, rows_max: 0, usage: Duration::ZERO };
        let keys = Keys::of(&TeamId::parse("design").unwrap());
        let arguments =
            arguments(&step, &Sender { server: None, process: "", now: None }, &keys, &retention);
        let head = arguments.head(0, 0, 2);
        let place = u32::from_be_bytes(head[16..20].try_into().unwrap());
        assert_eq!(head[20..22], 1_u16.to_be_bytes());

        // Counts as the script does: the revision is the first, the head the second.
        let mut command = cmd("");
        command.arg("").arg("");
        arguments.give_to(&mut command);
        let command = String::from_utf8(command.get_packed_command()).unwrap();
        let args: Vec<&str> = command.split("\r\n").skip(2).step_by(2).collect();
        let of = |id: ReservationId| String::from_utf8(text(field::call(id))).unwrap();
        assert_eq!(args[place as usize], of(ids[0]));
        assert_eq!(ids.map(|id| args.iter().filter(|arg| **arg == of(id)).count()), [1, 1]);
    }
}
