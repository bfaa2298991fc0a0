//! A claim: the right of one call to use an idempotency key.

use crate::call::{Fingerprint, KeyHash};
use crate::ledger::ReservationId;
use crate::request::RequestId;
use crate::team::TeamId;

/// The right of one call to use an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The call's own id. Claiming a key again with the same id is the same claim.
    pub id: ReservationId,
    /// The team whose key it is. Equal keys of different teams are different keys.
    pub team: TeamId,
    /// The key.
    pub key: KeyHash,
    /// The call's model and body, hashed.
    pub fingerprint: Fingerprint,
    /// Id of the request.
    pub request_id: RequestId,
}
