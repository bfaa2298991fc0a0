//! What the end of a call costs.
//!
//! The table has every end. "Requests" are the windows of a day and a month, "tokens" the buckets a
//! second, minute and hour, each of team, user and key. A slot of `concurrent` is free again after
//! every end, and once the answer was read.
//!
//! | The call | Credits | Requests | Tokens | Row |
//! |---|---|---|---|---|
//! | is not admitted | none | none | none | none |
//! | is never sent | none | given back | taken | `released` |
//! | is sent, but not accepted | none | given back | taken | `released` |
//! | is marked as sent, and no byte goes out | none | counted | taken | `refused` |
//! | is answered 2xx | by what came back | counted | taken | `charged` |
//! | is refused for good | none | counted | taken | `refused` |
//! | is turned back, and sent again | by its next end, and counted once | | | |
//! | is turned back, and not sent again | none | counted | taken | `refused` |
//! | has an unknown outcome | `pricing.on_unknown` | counted | taken | `unknown` |
//! | loses its caller after it was sent | as if it had stayed | | | |
//! | dies before it was marked as sent | none | given back | taken | `released` |
//! | dies after that | `pricing.on_unknown` | counted | taken | `unknown` |
//!
//! - Not admitted: malformed, no credential, a limit.
//! - Never sent: its caller leaves while it waits, the queue is full or the wait too long, no key
//!   can be used, no connection, the store does not take the mark.
//! - Not accepted: a reused connection is closed before it accepted a byte, or the upstream says
//!   that it did not process the call (RFC 9113, 8.7), and no other connection takes it.
//! - No byte goes out: its connection was closed, and its replica dies while the call waits for
//!   another.
//! - Refused for good: 307, 308, any 4xx, the upstream's own 413 and 415 included.
//! - Turned back: 401, 402, 403 "suspended" or 429. Why it is not sent again does not matter: no
//!   other key, the wait too long, no connection, its caller leaves, its replica dies.
//! - Unknown outcome: 5xx, another 3xx, no HTTP, a broken or too large answer, time-out.
//! - Dies: its task or its replica ends without settling it.
//!
//! A call is marked as sent with its admission, when nothing keeps its first byte from going out at
//! once (see [`super::AtHand`]); else just before that byte. In the ledger a mark that was taken
//! back says that the call was turned back: hence the one end above that counts a request which was
//! never sent.
//!
//! A call that was sent has used the shared account, so a team whose calls are refused there comes
//! to its own limits first.

use std::time::Duration;

use super::admitted::Forwarded;
use super::reservation_manager::End;
use crate::call::ExecutionOutcome;
use crate::credits::Credits;
use crate::ledger::{CallResult, OnUnknown, Outcome, Settlement};
use crate::pricing::delivery::delivered;

/// Decides the charge of a call: by what was delivered, never more than was reserved.
/// `since_admitted` is the time from its admission to its return.
#[must_use]
pub fn end(forwarded: &Forwarded, on_unknown: OnUnknown, since_admitted: Duration) -> End {
    let (call, reserved) = (forwarded.reservation.call(), forwarded.reservation.price());
    let (id, price) = (call.call_id, &call.price);
    let found = match (&forwarded.answer, forwarded.execution) {
        (Ok(passed), ExecutionOutcome::Delivered) => delivered(&passed.body, price),
        (Ok(_) | Err(_), _) => None,
    };
    let (outcome, charged) = match forwarded.execution {
        // An unreadable answer is charged as reserved, because the upstream was paid for it.
        ExecutionOutcome::Delivered => {
            (Outcome::Charged, found.map_or(reserved, |found| price.of(&found)).min(reserved))
        }
        ExecutionOutcome::NotSent => (Outcome::Released, Credits::ZERO),
        ExecutionOutcome::Refused => (Outcome::Refused, Credits::ZERO),
        ExecutionOutcome::Unknown => match on_unknown {
            OnUnknown::Charge => (Outcome::Unknown, reserved),
            OnUnknown::Release => (Outcome::Unknown, Credits::ZERO),
        },
    };
    let delivered = found.unwrap_or_default();
    let (status, code) = match &forwarded.answer {
        Ok(passed) => (passed.status, None),
        Err(refusal) => (refusal.kind().status, Some(refusal.kind().code.to_owned())),
    };
    let sent = Some(micros(since_admitted.saturating_sub(forwarded.upstream_time)));
    let answered = Some(micros(since_admitted));
    let (sent_us, answered_us) = match forwarded.execution {
        ExecutionOutcome::NotSent => (None, None),
        ExecutionOutcome::Delivered | ExecutionOutcome::Refused => (sent, answered),
        ExecutionOutcome::Unknown => (sent, None),
    };
    let result = CallResult {
        status: status.as_u16(),
        code,
        images: delivered.images,
        video_ms: delivered.video_ms,
        queue_ms: millis(forwarded.queued),
        upstream_ms: millis(forwarded.upstream_time),
        sent_us,
        answered_us,
    };
    End { settlement: Settlement { id, outcome, charged, result, keeps_slots: false }, delivered }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
