//! Where claims and answers are kept: one trait, a store in Redis and one in memory.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Claim, Kept};
use crate::ledger::Outage;
use crate::request::RequestId;
use crate::team::TeamId;

/// What became of an attempt to claim a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Begun {
    /// The key is claimed: the call is to be made.
    First,
    /// The same call is being made by somebody else.
    Running,
    /// It has been made.
    Finished(Kept),
    /// The key was used for a call that asks for something else.
    Mismatch,
}

/// Keeps claims and answers. Each step is atomic and safe to repeat. What is not a team's own does not exist for it.
///
/// What is kept is forgotten after the store's retention; a claim whose call never ends, after the time it was made for.
pub trait Store: Send + Sync + 'static {
    /// Claims a key, for at most `ttl`.
    fn begin<'a>(&'a self, claim: &'a Claim, ttl: Duration) -> BoxFuture<'a, Result<Begun, Outage>>;

    /// Ends a claim with the call's outcome, which is found under the key and under the request's id from now on. A claim
    /// that was too late, because the key is somebody else's by now, keeps the outcome under the request's id only.
    fn finish<'a>(&'a self, claim: &'a Claim, kept: &'a Kept) -> BoxFuture<'a, Result<(), Outage>>;

    /// Gives a claimed key back, as if it had never been used. A finished claim stays.
    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<(), Outage>>;

    /// Keeps an outcome under its request's id. Of several requests with one id, the last is found.
    fn keep<'a>(&'a self, team: &'a TeamId, kept: &'a Kept) -> BoxFuture<'a, Result<(), Outage>>;

    /// The outcome of one of the team's requests.
    fn fetch<'a>(&'a self, team: &'a TeamId, id: &'a RequestId) -> BoxFuture<'a, Result<Option<Kept>, Outage>>;
}
