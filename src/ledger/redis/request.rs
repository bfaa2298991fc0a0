//! Writes a batch as the script reads it.
//!
//! The array is: the time to take for the store's (0: the server's own), how long reservations live (µs), whether unknown
//! ends are charged, how long rows are kept (µs), how many at most, how long usage is kept (µs), how many cells a day of
//! it may have, how many overdue reservations to end, the day's first moment, the first after it, the first after the
//! month (µs), the day's name, how many ids, levels and operations follow, the latest epoch and change that were seen, the
//! mode, whether an operator must accept a loss, how long the others have to bring what they know (µs), and until when it
//! may end what is overdue (µs);
//! then the ids; the levels, each a scope's name, a count, and of each limit its kind, maximum, burst and flags (1 for a
//! shadow, and twice the millionths of a soft threshold); then the operations, each a number from [`op`] and what belongs to it. Operations name ids and levels by
//! their places, counted from 1, so that what many of them share is read once.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::slice;
use std::sync::Arc;

use super::head::{Head, write_head};
use super::keys::{cell_name, scope_name};
use super::operation::Operation;
use super::packed::Packed;
use super::settings::Settings;
use crate::ledger::calendar::Calendar;
use crate::ledger::{Admission, Came, Level, Outcome, Phase, ReservationId, Scope, Settlement, TopUp};
use crate::team::{LimitKind, Limits};

/// The operations' numbers, as in the script.
pub(super) mod op {
    pub(in super::super) const ADMIT: u64 = 1;
    pub(in super::super) const DISPATCH: u64 = 2;
    pub(in super::super) const SETTLE: u64 = 3;
    pub(in super::super) const RENEW: u64 = 4;
    pub(in super::super) const SWEEP: u64 = 5;
    pub(in super::super) const BOOKS: u64 = 6;
    pub(in super::super) const GIVE_UP: u64 = 7;
    pub(in super::super) const QUOTE: u64 = 8;
    pub(in super::super) const RECALL: u64 = 9;
    pub(in super::super) const REDO: u64 = 10;
    pub(in super::super) const FLOOR: u64 = 11;
    pub(in super::super) const ACCEPT: u64 = 12;
    pub(in super::super) const TOP_UP: u64 = 13;
    pub(in super::super) const TOP_UP_AGAIN: u64 = 14;
}

/// How many overdue reservations a sweep ends at most.
const SWEEP_MOST: u64 = 128;
/// How many an admission ends on its way, so that left-behind slots are free without waiting for a sweep.
const SWEEP_BESIDE: u64 = 8;

/// A batch as the script reads it.
pub(super) struct Request {
    /// What is sent.
    pub(super) bytes: Vec<u8>,
    /// Of each operation's levels in turn, which of the request's levels it is, from 0. They are numbered in the order in
    /// which they first come up.
    pub(super) level_places: Vec<usize>,
}

/// Writes a batch. `calendar` is needed when it admits or reads.
pub(super) fn written(
    operations: &[Operation],
    calendar: Option<&Calendar>,
    head: Head,
    settings: &Settings,
) -> Request {
    let places = Places::of(operations);
    let mut packed = Packed::new();
    let day = calendar.map_or("", |calendar| &calendar.day.name);
    let counts = [places.ids.len(), places.levels.len(), operations.len()];
    write_head(&mut packed, head, settings, sweeps(operations), (calendar, day), counts);
    for id in &places.ids {
        packed.text(&id.to_string());
    }
    for level in &places.levels {
        write_level(&mut packed, level);
    }
    let mut level_places = places.of_operations.iter();
    for operation in operations {
        write_operation(&mut packed, operation, &places, &mut level_places, calendar);
    }
    Request { bytes: packed.finish(), level_places: places.of_operations }
}

fn sweeps(operations: &[Operation]) -> u64 {
    let beside = |operation: &Operation| match operation {
        Operation::Sweep { .. } => SWEEP_MOST,
        // A quote must find what an admission would find.
        Operation::Admit { .. } | Operation::Quote { .. } => SWEEP_BESIDE,
        Operation::Dispatch { .. }
        | Operation::Recall { .. }
        | Operation::Settle { .. }
        | Operation::Renew { .. }
        | Operation::Books { .. }
        | Operation::TopUp { .. }
        | Operation::Accept { .. }
        | Operation::GiveUp { .. } => 0,
    };
    operations.iter().map(beside).max().unwrap_or(0)
}

/// What the operations share: each id and each level once, and where it is.
#[derive(Default)]
struct Places<'a> {
    ids: Vec<ReservationId>,
    id_places: HashMap<ReservationId, usize>,
    levels: Vec<&'a Level>,
    level_places: HashMap<(&'a Scope, *const Limits), usize>,
    of_operations: Vec<usize>,
}

impl<'a> Places<'a> {
    fn of(operations: &'a [Operation]) -> Self {
        let mut places = Self::default();
        for operation in operations {
            match operation {
                Operation::Admit { admission, .. } => {
                    places.add_id(admission.id);
                    places.add_levels(&admission.levels);
                }
                Operation::Settle { settlement, .. } => places.add_id(settlement.id),
                Operation::Dispatch { id, .. } | Operation::Recall { id, .. } | Operation::GiveUp { id, .. } => {
                    places.add_id(*id);
                }
                Operation::Quote { admission, .. } => places.add_levels(&admission.levels),
                Operation::Books { inquiry, .. } => {
                    places.add_levels(&inquiry.levels);
                    places.add_levels(inquiry.reader.as_slice());
                }
                // Named as well: the sweep beside this request must not end what is just being put off.
                Operation::Renew { ids, .. } => ids.iter().for_each(|id| places.add_id(*id)),
                Operation::Sweep { .. } | Operation::TopUp { .. } | Operation::Accept { .. } => {}
            }
        }
        places
    }

    fn add_id(&mut self, id: ReservationId) {
        self.id_places.entry(id).or_insert_with(|| {
            self.ids.push(id);
            self.ids.len()
        });
    }

    /// A scope under other limits (a reload came in between) is another level of the same scope.
    fn add_levels(&mut self, levels: &'a [Level]) {
        for level in levels {
            let place = *self.level_places.entry((&level.scope, Arc::as_ptr(&level.limits))).or_insert_with(|| {
                self.levels.push(level);
                self.levels.len() - 1
            });
            self.of_operations.push(place);
        }
    }

    fn id(&self, id: ReservationId) -> usize {
        self.id_places.get(&id).copied().unwrap_or(0)
    }
}

fn write_level(packed: &mut Packed, level: &Level) {
    packed.text(&scope_name(&level.scope));
    packed.count(level.limits.iter().len());
    for limit in level.limits.iter() {
        packed.number(kind_number(limit.kind));
        packed.number(limit.max);
        packed.number(limit.burst);
        let soft = limit.soft.map_or(0, |soft| 2 * u64::from(soft.millionths()));
        packed.number(soft + u64::from(limit.shadow));
    }
}

/// The kinds as the script knows them: 1 to 3 are buckets, 4 to 8 windows, 9 slots.
const fn kind_number(kind: LimitKind) -> u64 {
    match kind {
        LimitKind::RequestsPerSecond => 1,
        LimitKind::RequestsPerMinute => 2,
        LimitKind::RequestsPerHour => 3,
        LimitKind::RequestsPerDay => 4,
        LimitKind::RequestsPerMonth => 5,
        LimitKind::CreditsPerDay => 6,
        LimitKind::CreditsPerMonth => 7,
        LimitKind::CreditsTotal => 8,
        LimitKind::Concurrent => 9,
    }
}

/// The kind of this number.
pub(super) fn kind_numbered(number: u64) -> Option<LimitKind> {
    LimitKind::ALL.into_iter().find(|kind| kind_number(*kind) == number)
}

fn write_operation(
    packed: &mut Packed,
    operation: &Operation,
    places: &Places<'_>,
    level_places: &mut slice::Iter<'_, usize>,
    calendar: Option<&Calendar>,
) {
    match operation {
        Operation::Admit { admission, .. } => {
            packed.number(op::ADMIT);
            packed.count(places.id(admission.id));
            packed.text(match admission.phase {
                Phase::Waiting => "W",
                Phase::Dispatched => "D",
                Phase::TurnedBack => "T",
            });
            packed.number(admission.price.micros());
            packed.count(admission.levels.len());
            packed.text(&record(admission, calendar));
            write_places(packed, level_places, admission.levels.len());
        }
        Operation::Quote { admission, .. } => {
            packed.number(op::QUOTE);
            packed.number(admission.price.micros());
            packed.count(admission.levels.len());
            write_places(packed, level_places, admission.levels.len());
        }
        Operation::Dispatch { id, .. } => {
            packed.number(op::DISPATCH);
            packed.count(places.id(*id));
        }
        Operation::Recall { id, .. } => {
            packed.number(op::RECALL);
            packed.count(places.id(*id));
        }
        Operation::Settle { settlement, .. } => write_settlement(packed, settlement, places),
        Operation::Renew { ids, .. } => {
            packed.number(op::RENEW);
            packed.count(ids.len());
            for id in ids {
                packed.text(&id.to_string());
            }
        }
        // The mode of the whole batch says it.
        Operation::Accept { .. } => packed.number(op::ACCEPT),
        Operation::Sweep { .. } => packed.number(op::SWEEP),
        Operation::Books { inquiry, .. } => {
            // The answer tells of every level of the request; which of them are meant is known here.
            packed.number(op::BOOKS);
            level_places.by_ref().take(inquiry.levels.len()).for_each(drop);
            match inquiry.reader {
                Some(_) => write_places(packed, level_places, 1),
                None => packed.number(0),
            }
        }
        Operation::TopUp { top_up, .. } => write_top_up(packed, op::TOP_UP, top_up),
        Operation::GiveUp { id, .. } => {
            packed.number(op::GIVE_UP);
            packed.count(places.id(*id));
        }
    }
}

fn write_places(packed: &mut Packed, level_places: &mut slice::Iter<'_, usize>, count: usize) {
    for place in level_places.by_ref().take(count) {
        packed.count(place + 1);
    }
}

fn write_settlement(packed: &mut Packed, settlement: &Settlement, places: &Places<'_>) {
    packed.number(op::SETTLE);
    packed.count(places.id(settlement.id));
    packed.number(outcome_number(settlement.outcome));
    packed.number(settlement.charged.micros());
    write_came(packed, &settlement.came);
}

/// Writes a top-up, for the first time or again.
pub(super) fn write_top_up(packed: &mut Packed, op: u64, top_up: &TopUp) {
    packed.number(op);
    packed.text(top_up.id.as_str());
    packed.text(&scope_name(&top_up.scope));
    packed.number(top_up.credits.micros());
}

/// Writes what came, for the row and for the day's usage.
pub(super) fn write_came(packed: &mut Packed, came: &Came) {
    packed.text(&serde_json::to_string(came).unwrap_or_default());
    for number in [came.images, came.video_ms, came.queue_ms, came.upstream_ms] {
        packed.number(number);
    }
}

/// The outcomes as the script knows them.
pub(super) const fn outcome_number(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Charged => 1,
        Outcome::Released => 2,
        Outcome::Unknown => 3,
        Outcome::Refused => 4,
    }
}

/// What the store keeps of a reservation, beside its phase and when it was admitted, which the script puts before it.
pub(super) fn record(admission: &Admission, calendar: Option<&Calendar>) -> String {
    let day = calendar.map_or("", |calendar| &calendar.day.name);
    let mut record = String::with_capacity(256);
    // Writing to a String cannot fail.
    let _ = write!(record, "{day} {} {} ", admission.price.micros(), cell_name(&admission.asked));
    for level in &admission.levels {
        record.push_str(&scope_name(&level.scope));
        record.push(' ');
    }
    record.push_str(&serde_json::to_string(&admission.asked).unwrap_or_else(|_| "{}".to_owned()));
    record
}
