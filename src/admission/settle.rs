//! What the end of a call costs.

use std::time::Duration;

use crate::credits::Credits;
use crate::ledger::{Came, OnUnknown, Outcome, ReservationId, Settlement};
use crate::pricing::came::delivered;
use crate::pricing::{Delivered, Price};
use crate::upstream::{Fate, Forwarded};

/// A settlement, and what it says was delivered.
#[derive(Debug)]
pub struct End {
    /// For the ledger.
    pub settlement: Settlement,
    /// For the metrics.
    pub delivered: Delivered,
}

/// Decides what a call is charged: by what came back, never more than was reserved. `since_admitted` is how long ago the
/// call was admitted, now that it has just come back.
#[must_use]
pub fn end(
    id: ReservationId,
    price: &Price,
    reserved: Credits,
    forwarded: &Forwarded,
    on_unknown: OnUnknown,
    since_admitted: Duration,
) -> End {
    let found = match (&forwarded.answer, forwarded.fate) {
        (Ok(passed), Fate::Delivered) => delivered(&passed.body, price),
        (Ok(_) | Err(_), _) => None,
    };
    let (outcome, charged) = match forwarded.fate {
        // An answer that cannot be read is charged as reserved: it was paid for upstream.
        Fate::Delivered => (Outcome::Charged, found.map_or(reserved, |found| price.of(&found)).min(reserved)),
        Fate::NotSent | Fate::Refused => (Outcome::Released, Credits::ZERO),
        Fate::Unknown => match on_unknown {
            OnUnknown::Charge => (Outcome::Unknown, reserved),
            OnUnknown::Release => (Outcome::Unknown, Credits::ZERO),
        },
    };
    let delivered = found.unwrap_or_default();
    let (status, code) = match &forwarded.answer {
        Ok(passed) => (passed.status, None),
        Err(refusal) => (refusal.kind().status, Some(refusal.kind().code.to_owned())),
    };
    let sent = Some(micros(since_admitted.saturating_sub(forwarded.took)));
    let answered = Some(micros(since_admitted));
    let (sent_us, answered_us) = match forwarded.fate {
        Fate::NotSent => (None, None),
        Fate::Delivered | Fate::Refused => (sent, answered),
        Fate::Unknown => (sent, None),
    };
    let came = Came {
        status: status.as_u16(),
        code,
        images: delivered.images,
        video_ms: delivered.video_ms,
        queue_ms: millis(forwarded.queued),
        upstream_ms: millis(forwarded.took),
        sent_us,
        answered_us,
    };
    End { settlement: Settlement { id, outcome, charged, came }, delivered }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
