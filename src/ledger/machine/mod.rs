//! The ledger's state machine: decides each operation on a team's records. Every store uses the
//! same machine.
//!
//! It does no I/O and has no clock: it is given records, rules and the moment, and returns answers
//! and changes. `records` says what a store must provide; a store keeps all changes of an
//! operation, or none.
//!
//! Reading order: `windows` (what is counted, and when), `record` (what is kept), `written` (in
//! which form), `bucket` and `judgement` (one limit), `ends` (when a scope may be forgotten),
//! `past` (rows and usage), `state` (each operation), `slots`, `sweep`, `reading`, `soft`, `topup`,
//! `open`, and `records` (the store's side). After a loss: `revision` and `loss` (what is missing),
//! `shares` (merging a scope), `void` (steps that do not count), `ending` and `earlier` (calls that
//! may have ended), `held` and `standing` (what is held without a record), `unclaimed` (calls that
//! no process claims).

pub(in crate::ledger) mod bucket;
mod earlier;
mod ending;
mod ends;
mod held;
pub(in crate::ledger) mod judgement;
pub(in crate::ledger) mod loss;
#[cfg(test)]
pub(in crate::ledger) mod memory_records;
pub(in crate::ledger) mod open;
pub(in crate::ledger) mod past;
pub(in crate::ledger) mod reading;
pub(in crate::ledger) mod record;
pub(in crate::ledger) mod records;
pub(in crate::ledger) mod revision;
mod shares;
mod slots;
pub(in crate::ledger) mod soft;
mod standing;
pub(in crate::ledger) mod state;
mod sweep;
pub(in crate::ledger) mod topup;
pub(in crate::ledger) mod unclaimed;
mod void;
pub(in crate::ledger) mod windows;
mod written;

pub(in crate::ledger) use earlier::Earlier;
#[cfg(test)]
pub(in crate::ledger) use ending::EndedBy;
pub(in crate::ledger) use ending::Ending;
pub(in crate::ledger) use loss::Loss;
pub(in crate::ledger) use past::Ended;
pub(in crate::ledger) use record::{ReservationRecord, ScopeName, ScopeRecord, TopUpRecord};
pub(in crate::ledger) use records::{Cell, Records};
pub(in crate::ledger) use revision::{Revision, name_of_step};
pub(in crate::ledger) use state::{Machine, Rules};
