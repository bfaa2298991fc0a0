//! Outcomes that wait until the store takes them, in the background. Their number is not bounded;
//! their answers are, by the team's share of the memory for answers.

use std::sync::Arc;

use bytes::Bytes;

use super::{Claim, StoredResponse};
use crate::request::{AnswerPermit, Buffer};
use crate::team::TeamId;

/// Outcome of a call that the store does not have yet.
pub(super) struct Outcome {
    pub(super) team: TeamId,
    /// The claim that it ends.
    pub(super) claim: Option<Claim>,
    pub(super) kept: StoredResponse,
}

/// A waiting outcome, with memory for its answer. Dropped before it is stored, it is logged as
/// lost.
pub(super) struct Waiting {
    outcome: Outcome,
    is_kept: bool,
    _answer_permit: Option<Arc<AnswerPermit>>,
}

impl Waiting {
    /// Drops the answer if there is no memory for it. An outcome alone is small, and their number
    /// stays low: each is that of an ended paid call, and while the store is away no new call is
    /// admitted.
    pub(super) fn new(mut outcome: Outcome, buffer: &Buffer) -> Self {
        let bytes = outcome.kept.body.as_ref().map_or(0, Bytes::len);
        let answer_permit = if bytes == 0 { None } else { buffer.take(&outcome.team, bytes).ok() };
        if bytes > 0 && answer_permit.is_none() {
            outcome.kept.body = None;
            let (team, call_id) = (&outcome.team, outcome.call_id());
            tracing::warn!(
                %team,
                call_id,
                "no room for an answer that waits to be kept: its outcome is kept without it"
            );
        }
        Self { outcome, is_kept: false, _answer_permit: answer_permit }
    }

    /// What waits.
    pub(super) const fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Notes that the store has it.
    pub(super) fn kept(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_kept {
            let Outcome { team, kept, .. } = &self.outcome;
            let (request_id, call_id) = (&kept.request_id, self.outcome.call_id());
            tracing::error!(%team, %request_id, call_id, "an outcome could not be remembered");
        }
    }
}

impl Outcome {
    fn call_id(&self) -> Option<String> {
        self.kept.call.as_ref().map(|call| call.id.to_string())
    }
}
