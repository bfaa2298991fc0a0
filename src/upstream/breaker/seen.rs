//! What the end of a call says about the upstream: whether it is there and works.

use http::StatusCode;
use serde::de::IgnoredAny;

use super::Seen;
use crate::upstream::client::{Failed, Received};

/// What the end of a call says; `None` when that is our doing (too many calls for the places there are, an answer above
/// our bounds) or nothing out of the ordinary: an idle connection was closed.
pub(crate) fn seen(ended: &Result<Received, Failed>) -> Option<Seen> {
    match ended {
        Ok(received) => Some(match received.head.status.as_u16() {
            ..500 => Seen::Alive,
            status if status == StatusCode::INTERNAL_SERVER_ERROR && is_json(received) => Seen::ErrorOfItsOwn,
            _ => Seen::Failed,
        }),
        Err(Failed::Unreachable(_) | Failed::TimedOut | Failed::Broken(_)) => Some(Seen::Failed),
        Err(Failed::NoPlace | Failed::Gone | Failed::TooLarge(_)) => None,
    }
}

fn is_json(received: &Received) -> bool {
    serde_json::from_slice::<IgnoredAny>(&received.body).is_ok()
}
