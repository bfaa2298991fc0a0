//! What a call's end shows about the upstream.

use http::StatusCode;
use serde::de::IgnoredAny;

use super::HealthSignal;
use crate::upstream::client::{Failed, Received};

/// What a call's end shows; `None` when the cause is ours (no free stream, an answer above our
/// bounds) or expected (an idle connection was closed).
pub(crate) fn health_signal(ended: &Result<Received, Failed>) -> Option<HealthSignal> {
    match ended {
        Ok(received) => Some(match received.head.status.as_u16() {
            ..500 => HealthSignal::Alive,
            status if status == StatusCode::INTERNAL_SERVER_ERROR && is_json(received) => {
                HealthSignal::ErrorOfItsOwn
            }
            _ => HealthSignal::Failed,
        }),
        Err(Failed::Unreachable(_) | Failed::TimedOut | Failed::Broken(_)) => {
            Some(HealthSignal::Failed)
        }
        Err(Failed::NoStream | Failed::Gone | Failed::TooLarge(_)) => None,
    }
}

fn is_json(received: &Received) -> bool {
    serde_json::from_slice::<IgnoredAny>(&received.body).is_ok()
}
