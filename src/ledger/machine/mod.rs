//! The ledger's state machine: what each operation does to a team's records. One machine judges for every store.
//!
//! It does no I/O and has no clock: it is given the records, the rules and the moment, and hands back answers and
//! changes. What a store must give it is in `records`; a store keeps all changes of an operation, or none.
//!
//! Reading order: `record` (what is kept), `written` (as what), `bucket` and `judgement` (one limit), `ends`
//! (when a scope may be forgotten), `past` (rows and usage), `state` (what each
//! operation does), `slots`, `sweep`, `reading`, `soft`, `topup`, `open`, and `records` (what a store gives). Of a
//! store that lost something: `revision` and `loss` (what it lacks), `shares` (how a scope is put
//! together again), `unclaimed` (what becomes of calls that nobody speaks for).

pub(in crate::ledger) mod bucket;
mod ends;
pub(in crate::ledger) mod judgement;
#[cfg(test)]
pub(in crate::ledger) mod kept;
pub(in crate::ledger) mod loss;
pub(in crate::ledger) mod open;
pub(in crate::ledger) mod past;
pub(in crate::ledger) mod reading;
pub(in crate::ledger) mod record;
pub(in crate::ledger) mod records;
pub(in crate::ledger) mod revision;
mod shares;
mod slots;
pub(in crate::ledger) mod soft;
pub(in crate::ledger) mod state;
mod sweep;
pub(in crate::ledger) mod topup;
pub(in crate::ledger) mod unclaimed;
mod written;

pub(in crate::ledger) use loss::Loss;
pub(in crate::ledger) use past::{Cell, Ended};
pub(in crate::ledger) use record::{ReservationRecord, ScopeName, ScopeRecord, TopUpRecord};
pub(in crate::ledger) use records::Records;
pub(in crate::ledger) use revision::Revision;
pub(in crate::ledger) use state::{Machine, Rules};
