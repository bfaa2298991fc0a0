//! Sends a call when the shared account has room for it, and queues it until then.
//!
//! Reads: the team and its weight, the account's limits, the usable keys. Writes: the permits, the
//! reservation's phase, the record's queue time, the state of a key. Refuses:
//! `shared_rate_limited`, `queue_full`, `ledger_unavailable`, `upstream_key_rejected`,
//! `shared_credits_exhausted`, `upstream_unavailable`. Position: below admission, because a queued
//! call has paid, and is released when its caller leaves; above the layer that adds the shared key,
//! because the permit names it. A call is sent again only after an answer that proves that it was
//! not executed.

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Permitted;
use super::attempts::{Attempts, Queue};
use crate::admission::{Admitted, Forwarded};
use crate::step::{Below, Step, Under};
use crate::upstream::ReservedConnection;
use crate::upstream::swap_credential::{Gone, Sent};

impl<S: Under<Permitted, Sent, Gone>> Step<Admitted<ReservedConnection>, S> for Queue {
    type HandsOn = Permitted;
    type Response = Forwarded;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Forwarded, Infallible>>;

    fn take(
        self: &Arc<Self>,
        admitted: Admitted<ReservedConnection>,
        below: Below<'_, S>,
    ) -> Self::Future {
        let way = Attempts::new(Arc::clone(self), admitted);
        below.later(|mut below| async move { Ok(way.go(&mut below).await) })
    }
}
