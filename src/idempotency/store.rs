//! Where claims and answers are kept: one trait, a store in Redis and one in memory.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Claim, StoredResponse, Summary};
use crate::ledger::ReservationId;
use crate::request::RequestId;
use crate::store::Outage;
use crate::team::TeamId;

/// What became of an attempt to claim a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Begun {
    /// The key is claimed: the call is to be made.
    First,
    /// The same call is being made by somebody else.
    Running,
    /// It has been made.
    Finished(Box<StoredResponse>),
    /// It was sent, and its outcome was lost with whoever made it. It may have been executed.
    Lost,
    /// The key was used for a call that asks for something else.
    Mismatch,
}

/// How many of a team's calls, or of those that carried one request id, are listed. Older ones are
/// found by their own ids.
pub const LISTED_MAX: usize = 100;

/// Keeps claims and answers. Each step is atomic and safe to repeat. What is not a team's own does
/// not exist for it.
///
/// What is kept is forgotten after the store's retention. So is a claim once its call was sent:
/// should nobody ever tell its outcome, it is lost, and the call is not made again. Before that a
/// claim ends after the time it was made for.
pub trait Store: Send + Sync + 'static {
    /// Claims a key, for at most `ttl` unless the call is sent by then.
    fn begin<'a>(&'a self, claim: &'a Claim, ttl: Duration)
    -> BoxFuture<'a, Result<Begun, Outage>>;

    /// Notes that the call is about to be sent, paid for by its reservation: from now on the key is
    /// held for at least `ttl` and as long as outcomes are kept. Once the reservation has ended and
    /// no outcome has come for a while, none will. `false`: the key is somebody else's by now, do
    /// not send.
    fn sent<'a>(&'a self, claim: &'a Claim, ttl: Duration) -> BoxFuture<'a, Result<bool, Outage>>;

    /// Ends the claim of a call that was sent and of which nobody can tell any more what became.
    fn mark_lost<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), Outage>>;

    /// Ends a claim with the call's outcome, which is found under the key and under the call's id
    /// from now on. A claim that was too late, because the key is somebody else's by now, keeps the
    /// outcome under the call's id only.
    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        kept: &'a StoredResponse,
    ) -> BoxFuture<'a, Result<(), Outage>>;

    /// Gives a claimed key back, as if it had never been used. A finished claim stays.
    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), Outage>>;

    /// Keeps an outcome under its call's id.
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

    /// What is kept of the team's calls, the newest first, at most [`LISTED_MAX`]: of those that
    /// carried a request id, or of all.
    fn list<'a>(
        &'a self,
        team: &'a TeamId,
        of: Option<&'a RequestId>,
    ) -> BoxFuture<'a, Result<Vec<Summary>, Outage>>;
}
