//! The state that both sides of a call share: its phase, and whether its caller still waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::ledger::Phase;

/// The phase of a reserved call as this process knows it, and whether its caller still waits.
/// Clones share it.
///
/// Shared by two owners: the reservation travels down with the call, while the part that stays with
/// the caller ([`super::run_to_completion`]) must see whether the call was sent, and reports when
/// the caller leaves.
#[derive(Clone, Debug)]
pub struct CallState(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    phase: AtomicU8,
    caller_has_left: AtomicBool,
}

impl CallState {
    /// The state of a call in this phase whose caller waits.
    #[must_use]
    pub fn new(phase: Phase) -> Self {
        let (phase, caller_has_left) = (AtomicU8::new(phase as u8), AtomicBool::new(false));
        Self(Arc::new(Inner { phase, caller_has_left }))
    }

    /// The call's phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        const WAITING: u8 = Phase::Waiting as u8;
        const TURNED_BACK: u8 = Phase::TurnedBack as u8;
        match self.0.phase.load(Ordering::Relaxed) {
            WAITING => Phase::Waiting,
            TURNED_BACK => Phase::TurnedBack,
            _ => Phase::Dispatched,
        }
    }

    /// Sets the phase. Dispatched is set after the store has it; waiting again, before.
    pub(super) fn reached(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Whether the caller has hung up.
    #[must_use]
    pub fn caller_has_left(&self) -> bool {
        self.0.caller_has_left.load(Ordering::Relaxed)
    }

    /// The caller has hung up.
    pub(super) fn caller_leaves(&self) {
        self.0.caller_has_left.store(true, Ordering::Relaxed);
    }
}
