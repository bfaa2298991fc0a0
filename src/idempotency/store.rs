//! Store of claims and responses: one trait, implemented in Redis and in memory.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Claim, StoredResponse, Summary};
use crate::ledger::ReservationId;
use crate::request::RequestId;
use crate::store::Outage;
use crate::team::TeamId;

/// Result of claiming a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Begun {
    /// The key is claimed, and the call may be made.
    First,
    /// The same call is already running.
    Running,
    /// Made, with this answer.
    Finished(Box<StoredResponse>),
    /// Sent, and its outcome was lost with its process. It may have been executed.
    Lost,
    /// The key was used for a call with another model or body.
    Mismatch,
}

/// Most calls listed of a team, or of one request id. Older ones are found by their call ids.
pub const LISTED_MAX: usize = 100;

/// Keeps claims and responses. Each step is atomic and safe to repeat. A team finds only its own.
///
/// Outcomes expire after the store's retention. A claim expires after its `ttl` until its call is
/// sent, and after the retention from then on: if no outcome comes, the call is lost, and not made
/// again.
pub trait Store: Send + Sync + 'static {
    /// Claims a key, for at most `ttl` unless the call is sent by then.
    fn begin<'a>(&'a self, claim: &'a Claim, ttl: Duration)
    -> BoxFuture<'a, Result<Begun, Outage>>;

    /// Notes that the call is about to be sent, with its reservation: from now on the key is held
    /// for at least `ttl` and as long as outcomes are kept. If the reservation has ended and no
    /// outcome comes for a while, the call counts as lost. `false`: another call has the key by
    /// now, so do not send.
    fn sent<'a>(&'a self, claim: &'a Claim, ttl: Duration) -> BoxFuture<'a, Result<bool, Outage>>;

    /// Ends the claim of a call that was sent and whose outcome is lost.
    fn mark_lost<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), Outage>>;

    /// Ends a claim with the call's outcome, which is found by the key and by the call's id from
    /// now on. If another call has the key by now, it is found by the call's id only.
    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        kept: &'a StoredResponse,
    ) -> BoxFuture<'a, Result<(), Outage>>;

    /// Gives a claimed key back, as if it had never been used. Does nothing once the claim has
    /// ended.
    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), Outage>>;

    /// Stores an outcome by its call's id.
    fn keep<'a>(
        &'a self,
        team: &'a TeamId,
        kept: &'a StoredResponse,
    ) -> BoxFuture<'a, Result<(), Outage>>;

    /// The outcome of one of the team's calls.
    fn fetch<'a>(
        &'a self,
        team: &'a TeamId,
        id: ReservationId,
    ) -> BoxFuture<'a, Result<Option<StoredResponse>, Outage>>;

    /// Stored outcomes of the team's calls, or of those with one request id, newest first, at most
    /// [`LISTED_MAX`].
    fn list<'a>(
        &'a self,
        team: &'a TeamId,
        of: Option<&'a RequestId>,
    ) -> BoxFuture<'a, Result<Vec<Summary>, Outage>>;
}
