//! Writes what the store lacks, or may lack, as the script reads it: batches of their own kind, without limits.

use super::counts::Floor;
use super::head::{Head, write_head};
use super::packed::Packed;
use super::request::{op, outcome_number, write_came, write_top_up};
use super::settings::Settings;
use super::witness::LostCall;
use crate::ledger::TopUp;

/// Some of what the store lacks.
#[derive(Clone, Copy, Default)]
pub(super) struct Lost<'a> {
    pub(super) calls: &'a [LostCall],
    pub(super) top_ups: &'a [TopUp],
    pub(super) floors: &'a [Floor],
}

/// Writes calls, top-ups and counts that the store lacks. Calls are counted in the windows that stand in them, whatever day it is.
pub(super) fn written(lost: Lost<'_>, head: Head, settings: &Settings) -> Vec<u8> {
    let Lost { calls, top_ups, floors } = lost;
    let mut packed = Packed::new();
    // A record's day is its third word; the calls' own days decide, this is only where most of them are.
    let day = calls.first().and_then(|call| call.record.split(' ').nth(2)).unwrap_or_default();
    write_head(
        &mut packed,
        head,
        settings,
        0,
        (None, day),
        [calls.len(), 0, calls.len() + top_ups.len() + floors.len()],
    );
    for call in calls {
        packed.text(&call.id.to_string());
    }
    for (place, call) in calls.iter().enumerate() {
        packed.number(op::REDO);
        packed.count(place + 1);
        packed.number(u64::from(call.admission_is_lost));
        packed.text(&call.record);
        packed.number(call.end.as_ref().map_or(0, |end| outcome_number(end.outcome)));
        packed.number(call.end.as_ref().map_or(0, |end| end.charged.micros()));
        let came = call.end.as_ref().map(|end| end.came.clone()).unwrap_or_default();
        write_came(&mut packed, &came);
    }
    for top_up in top_ups {
        write_top_up(&mut packed, op::TOP_UP_AGAIN, top_up);
    }
    for floor in floors {
        packed.number(op::FLOOR);
        packed.text(&floor.scope);
        packed.text(&floor.field);
        packed.number(floor.calls);
        packed.number(floor.credits);
    }
    packed.finish()
}

/// Writes the names of keys to look for: they stand in the place of ids.
pub(super) fn looking(names: &[String], head: Head, settings: &Settings) -> Vec<u8> {
    let mut packed = Packed::new();
    write_head(&mut packed, head, settings, 0, (None, ""), [names.len(), 0, 0]);
    names.iter().for_each(|name| packed.text(name));
    packed.finish()
}
