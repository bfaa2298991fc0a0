//! A claim: what is claimed, by which call.

use crate::call::{Fingerprint, KeyHash};
use crate::ledger::ReservationId;
use crate::request::RequestId;
use crate::team::TeamId;

/// What is claimed, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its name, which is the call's own id: claiming again under the same name is the same claim.
    pub id: ReservationId,
    /// The team whose key it is. Other teams' keys are other keys.
    pub team: TeamId,
    /// The key.
    pub key: KeyHash,
    /// What the call asks for.
    pub fingerprint: Fingerprint,
    /// What its caller calls the call.
    pub request_id: RequestId,
}
