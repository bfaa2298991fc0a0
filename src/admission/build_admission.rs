//! Builds the admission of a call: the most it can cost, and facts for its row.

use std::sync::Arc;

use crate::call::PaidCall;
use crate::ledger::{Admission, CallSummary, Phase};
use crate::pricing::{Order, body};
use crate::refusal::Refusal;
use crate::team::Credential;

/// The admission of a call, or of a quote: the same for both, so that a quote shows what a call
/// would meet. `phase` says whether the call is sent as soon as it is admitted, or waits and is
/// marked just before it is sent.
///
/// # Errors
/// `invalid_body`: a member that decides the price has the wrong type or is out of range.
pub fn admission(call: &PaidCall, phase: Phase) -> Result<Admission, Refusal> {
    let order = body::order(&call.body, &call.price).map_err(Refusal::InvalidBody)?;
    Ok(Admission {
        id: call.call_id,
        team: call.team.id.clone(),
        levels: call.principal.levels(&call.team),
        time_zone: call.team.time_zone.clone(),
        price: call.price.most(&order),
        phase,
        summary: Arc::new(summary_of(call, order)),
    })
}

fn summary_of(call: &PaidCall, order: Order) -> CallSummary {
    let principal = &call.principal;
    let key = match &principal.credential {
        Credential::Key(id) => Some(id.as_str().to_owned()),
        Credential::Token { .. } => None,
    };
    CallSummary {
        request_id: call.id.as_str().to_owned(),
        user: principal.user.as_str().to_owned(),
        credential: principal.credential.id().to_owned(),
        key,
        model: call.model.as_str().to_owned(),
        images: order.images,
        seconds: order.seconds,
        price_version: call.team.prices.version.clone(),
    }
}
