//! A step as the script reads it: which commands mark, check, write and read a team's records.

use std::collections::BTreeSet;

use super::keys::{Keys, cell, field, past_name};
use super::text;
use super::words::{List, Words};
use crate::ledger::keeper::{Changes, Expected, FOR_EVER, OLDEST_MOST, OVERDUE_MOST, Step, TeamRecord, Wanted};
use crate::ledger::{Retention, Row};

/// How many fields or members one command names at most: the script hands them on as arguments, which are bounded.
const NAMED_MOST: usize = 1_000;
/// How long it is remembered that a call had ended and was restored, in microseconds.
const RESTORED_FOR: i64 = 86_400_000_000;
/// How many of the scopes that may be forgotten are told of at most.
const PAST_MOST: &str = "128";

/// No open call, and due never. Redis keeps a small sorted set as one list that it reads from end to end, unless a member is as
/// long as this: then it finds a call at once.
pub(super) const SKIP_LIST: &str = "no call: a member of more than 64 bytes makes the server keep a skip list";

/// No scope, and never past.
const NOTHING: &str = "-";

/// Which revision is expected, as the script compares it.
pub(super) fn expected(step: &Step) -> String {
    match step.expected {
        Expected::Anything => "?".to_owned(),
        Expected::Nothing | Expected::Lost => String::new(),
        Expected::Revision(revision) => revision.to_string(),
    }
}

/// What the step does and reads, in the order in which the script takes it. `voucher` names the mark without which a team is not
/// made.
pub(super) fn words(step: &Step, keys: &Keys, retention: &Retention, voucher: u64) -> Words {
    let mut words = Words::default();
    section(&mut words, |list| marks(list, step));
    section(&mut words, |list| always(list, step, keys));
    section(&mut words, |list| checks(list, step, keys, voucher));
    section(&mut words, |list| {
        if step.is_made() {
            writes(list, step, keys, retention);
        }
    });
    section(&mut words, |list| reads(list, &step.wanted, step.from, keys));
    words
}

fn section(words: &mut Words, write: impl FnOnce(&mut Commands<'_>)) {
    let list = words.begin();
    let mut commands = Commands { words, list };
    write(&mut commands);
    let Commands { list, .. } = commands;
    words.end(&list);
}

/// A list of commands.
struct Commands<'a> {
    words: &'a mut Words,
    list: List,
}

impl Commands<'_> {
    fn command(&mut self, write: impl FnOnce(&mut Command<'_>)) {
        self.list.item();
        let list = self.words.begin();
        let mut command = Command { words: self.words, list };
        write(&mut command);
        let Command { list, .. } = command;
        self.words.end(&list);
    }

    /// Commands that begin with these words and name all of these.
    fn named(&mut self, begins: &[&str], names: Vec<String>) {
        for some in names.chunks(NAMED_MOST) {
            self.command(|command| {
                begins.iter().for_each(|word| command.word(word));
                some.iter().for_each(|name| command.word(name));
            });
        }
    }

    /// Commands that begin with these words and take all of these pairs.
    fn pairs(&mut self, begins: &[&str], pairs: Vec<(Vec<u8>, Vec<u8>)>) {
        for some in pairs.chunks(NAMED_MOST) {
            self.command(|command| {
                begins.iter().for_each(|word| command.word(word));
                some.iter().for_each(|(one, other)| {
                    command.bytes(one);
                    command.bytes(other);
                });
            });
        }
    }

    /// A command of these words.
    fn words(&mut self, words: &[&str]) {
        self.command(|command| words.iter().for_each(|word| command.word(word)));
    }

    /// A command, and before it what it must answer: `=` and that, or `-` for nothing.
    fn check(&mut self, answer: Option<&[u8]>, words: &[&str]) {
        self.command(|command| {
            command.bytes(&answer.map_or_else(|| b"-".to_vec(), |answer| [b"=", answer].concat()));
            words.iter().for_each(|word| command.word(word));
        });
    }
}

/// One command.
struct Command<'a> {
    words: &'a mut Words,
    list: List,
}

impl Command<'_> {
    fn word(&mut self, word: &str) {
        self.bytes(word.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.list.item();
        self.words.word(bytes);
    }
}

fn marks(list: &mut Commands<'_>, step: &Step) {
    for mark in &step.marks {
        list.command(|command| {
            command.word(&field::phase(mark.id));
            command.word(&text::phase(&mark.from));
            command.word(&text::phase(&mark.to));
        });
    }
}

fn always(list: &mut Commands<'_>, step: &Step, keys: &Keys) {
    if !step.renewed.is_empty() {
        let deadline = step.deadline.to_string();
        list.command(|command| {
            ["ZADD", keys.due.as_str(), "XX"].iter().for_each(|word| command.word(word));
            for id in &step.renewed {
                command.word(&deadline);
                command.word(&id.to_string());
            }
        });
    }
}

fn checks(list: &mut Commands<'_>, step: &Step, keys: &Keys, voucher: u64) {
    if step.expected == Expected::Nothing {
        // Without the mark the store was emptied since the team was found to be new.
        list.check(Some(b"1"), &["GET", &keys.may_be_made(voucher)]);
    }
    if !step.unopened.is_empty() {
        let fields: Vec<String> = step.unopened.iter().map(|id| field::phase(*id)).collect();
        let mut words = vec!["HMGET", &keys.state];
        words.extend(fields.iter().map(String::as_str));
        list.check(None, &words);
    }
    for (id, deadline, record) in &step.overdue {
        list.check(Some(text::phase(record).as_bytes()), &["HGET", &keys.state, &field::phase(*id)]);
        list.check(Some(deadline.to_string().as_bytes()), &["ZSCORE", &keys.due, &id.to_string()]);
    }
}

/// What comes first is allowed even when memory is short, and lets what follows pass: ending a call, which frees about as
/// much as it takes, is possible even then.
///
/// What judges is written last. A key of another type ends the script where it is met; until then only what will be written
/// again as it is has been written, and rows have not been added.
fn writes(list: &mut Commands<'_>, step: &Step, keys: &Keys, retention: &Retention) {
    let changes = &step.changes;
    list.named(&["ZREM", &keys.due], changes.ended.iter().map(ToString::to_string).collect());
    if step.expected == Expected::Nothing || changes.team.as_ref().is_some_and(TeamRecord::is_closed) {
        list.words(&["ZADD", &keys.due, &FOR_EVER.to_string(), SKIP_LIST]);
        // What is to end with the team must be there when that is said.
        list.words(&["ZADD", &keys.ends, &FOR_EVER.to_string(), NOTHING]);
    }
    let deadline = step.deadline.to_string().into_bytes();
    let due = changes.opened.keys().map(|id| (deadline.clone(), id.to_string().into_bytes()));
    list.pairs(&["ZADD", &keys.due], due.collect());
    ends(list, step, keys, retention);
    usage(list, changes, keys, retention);
    rows(list, step, keys, retention);
    forgotten(list, changes, keys);
    state(list, step, keys);
    if let (Some(team), true) = (&changes.team, changes.lives_on) {
        for key in [&keys.state, &keys.due, &keys.ends] {
            if team.until < FOR_EVER {
                list.words(&["PEXPIRE", key, &((team.until - step.from) / 1000).to_string()]);
            } else {
                list.words(&["PERSIST", key]);
            }
        }
    }
}

fn usage(list: &mut Commands<'_>, changes: &Changes, keys: &Keys, retention: &Retention) {
    for day in changes.cells.keys().map(|name| &name.day).collect::<BTreeSet<_>>() {
        let key = keys.usage(day);
        list.command(|command| {
            ["HSET", key.as_str()].iter().for_each(|word| command.word(word));
            for (name, sums) in changes.cells.iter().filter(|(name, _)| name.day == *day) {
                command.word(&cell(name));
                command.word(&sums.to_numbers().map(|number| number.to_string()).join(" "));
            }
        });
        if changes.days.contains_key(day) {
            list.words(&["PEXPIRE", &key, &retention.usage.as_millis().to_string()]);
        }
    }
}

/// Forgets scopes, calls that have ended, and what else is past.
fn forgotten(list: &mut Commands<'_>, changes: &Changes, keys: &Keys) {
    let scopes = changes.scopes.iter().filter(|(_, record)| record.is_none()).map(|(name, _)| field::scope(name));
    let calls = changes.ended.iter().flat_map(|id| [field::call(*id), field::phase(*id)]);
    let past = changes.forgotten.iter().map(past_name);
    list.named(&["HDEL", &keys.state], calls.chain(scopes).chain(past).collect());
}

/// From when on what may be forgotten.
fn ends(list: &mut Commands<'_>, step: &Step, keys: &Keys, retention: &Retention) {
    let changes = &step.changes;
    let never = changes.ends.iter().filter(|(_, end)| end.is_none()).map(|(name, _)| field::scope(name));
    list.named(&["ZREM", &keys.ends], never.chain(changes.forgotten.iter().map(past_name)).collect());
    let later = |micros: i64| step.from.saturating_add(micros);
    let scopes = changes.ends.iter().filter_map(|(name, end)| Some(((*end)?, field::scope(name))));
    let restored = changes.restored.iter().map(|id| (later(RESTORED_FOR), field::restored(*id)));
    // Sooner than the usage itself: none whose time is just over is taken for lost.
    let kept = i64::try_from(retention.usage.as_micros()).unwrap_or(FOR_EVER);
    let kept = later(kept - RESTORED_FOR.min(kept / 4)).min(FOR_EVER);
    let days = changes.days.keys().map(|day| (kept, field::day(day)));
    let members =
        scopes.chain(restored).chain(days).map(|(end, name)| (end.to_string().into_bytes(), name.into_bytes()));
    list.pairs(&["ZADD", &keys.ends], members.collect());
}

/// A row's place among all, when it was settled, and the row.
fn row_text(step: &Step, place: usize, row: &Row) -> Vec<u8> {
    let revision = step.makes;
    let at = row.settled_at.as_microsecond();
    let mut bytes = format!("{:016}{:010}{place:04} {at} ", revision.epoch, revision.number).into_bytes();
    bytes.extend(text::row(row));
    bytes
}

fn rows(list: &mut Commands<'_>, step: &Step, keys: &Keys, retention: &Retention) {
    let changes = &step.changes;
    let paid = changes.rows.iter().filter(|row| row.charged.micros() > 0).count();
    if paid > 0 && paid < changes.rows.len() {
        // None is added to one list if the other is none.
        list.words(&["LLEN", &keys.rows[1]]);
    }
    for (which, (key, gone)) in keys.rows.iter().zip(changes.trimmed).enumerate() {
        let new = changes.rows.iter().enumerate().filter(|(_, row)| usize::from(row.charged.micros() == 0) == which);
        let new: Vec<Vec<u8>> = new.map(|(place, row)| row_text(step, place, row)).collect();
        if !new.is_empty() {
            list.command(|command| {
                ["LPUSH", key.as_str()].iter().for_each(|word| command.word(word));
                new.iter().for_each(|row| command.bytes(row));
            });
            if changes.rows_live_on.get(which) == Some(&true) {
                list.words(&["PEXPIRE", key, &retention.rows.as_millis().to_string()]);
            }
        }
        if gone > 0 {
            list.words(&["LTRIM", key, "0", &format!("-{}", gone + 1)]);
        }
    }
}

fn state(list: &mut Commands<'_>, step: &Step, keys: &Keys) {
    let changes = &step.changes;
    let text = |name: &str| name.as_bytes().to_vec();
    let mut fields = vec![(text(field::REVISION), step.makes.to_string().into_bytes())];
    fields.extend(changes.team.as_ref().map(|team| (text(field::TEAM), text::json(team))));
    for (name, record) in changes.scopes.iter().filter_map(|(name, record)| Some((name, record.as_ref()?))) {
        fields.push((text(&field::scope(name)), text::json(record)));
    }
    for (id, record) in &changes.opened {
        fields.push((text(&field::call(*id)), text::call(record)));
        fields.push((text(&field::phase(*id)), text::phase(record).into_bytes()));
    }
    for (day, cells) in &changes.days {
        fields.push((text(&field::day(day)), text(&cells.to_string())));
    }
    for (id, record) in &changes.top_ups {
        fields.push((text(&field::top_up(id)), text::json(record)));
    }
    fields.extend(changes.restored.iter().map(|id| (text(&field::restored(*id)), text("1"))));
    list.pairs(&["HSET", &keys.state], fields);
}

/// The days of the cells that are wanted, in the order in which they are read.
pub(super) fn days_of(wanted: &Wanted) -> Vec<&String> {
    let mut days: Vec<&String> = wanted.cells.iter().map(|name| &name.day).collect();
    days.dedup();
    days
}

fn reads(list: &mut Commands<'_>, wanted: &Wanted, from: i64, keys: &Keys) {
    list.command(|command| {
        ["HMGET", keys.state.as_str(), field::TEAM].iter().for_each(|word| command.word(word));
        wanted.scopes.iter().for_each(|name| command.word(&field::scope(name)));
        for id in &wanted.calls {
            command.word(&field::call(*id));
            command.word(&field::phase(*id));
        }
        wanted.days.iter().for_each(|day| command.word(&field::day(day)));
        wanted.top_ups.iter().for_each(|id| command.word(&field::top_up(id)));
        wanted.restored.iter().for_each(|id| command.word(&field::restored(*id)));
    });
    for day in days_of(wanted) {
        list.command(|command| {
            ["HMGET", &keys.usage(day)].iter().for_each(|word| command.word(word));
            wanted.cells.iter().filter(|name| name.day == *day).for_each(|name| command.word(&cell(name)));
        });
    }
    let now = from.to_string();
    if wanted.due {
        let (most, after) = (OVERDUE_MOST.to_string(), format!("({now}"));
        list.words(&["ZSCORE", &keys.due, SKIP_LIST]);
        list.words(&["ZRANGEBYSCORE", &keys.due, "-inf", &now, "WITHSCORES", "LIMIT", "0", &most]);
        list.words(&["ZRANGEBYSCORE", &keys.due, &after, &format!("({FOR_EVER}"), "WITHSCORES", "LIMIT", "0", "1"]);
    }
    if wanted.past {
        list.words(&["ZSCORE", &keys.ends, NOTHING]);
        list.words(&["ZRANGEBYSCORE", &keys.ends, "-inf", &now, "LIMIT", "0", PAST_MOST]);
    }
    if wanted.oldest {
        for key in &keys.rows {
            list.words(&["LRANGE", key, &format!("-{OLDEST_MOST}"), "-1"]);
        }
    }
    if wanted.all {
        list.words(&["HGETALL", &keys.state]);
    }
}
