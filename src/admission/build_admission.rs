//! What a call asks of the ledger: the most it can cost, and what its row will say.

use std::sync::Arc;

use crate::call::PaidCall;
use crate::ledger::{Admission, CallSummary, Phase};
use crate::pricing::{Order, asked};
use crate::refusal::Refusal;
use crate::team::Credential;

/// What admits a call, and what judges it when only its price is asked: the same for both, so that a quote is what a
/// call would meet. `phase` says whether it is sent as soon as it is admitted, or waits; then it is marked as sent just
/// before it is.
///
/// # Errors
/// `invalid_body`: a member that decides the price is not one, or out of range.
pub fn admission(call: &PaidCall, phase: Phase) -> Result<Admission, Refusal> {
    let order = asked::order(&call.body, &call.price).map_err(Refusal::InvalidBody)?;
    Ok(Admission {
        id: call.call_id,
        team: call.team.id.clone(),
        levels: call.principal.levels(&call.team),
        time_zone: call.team.time_zone.clone(),
        price: call.price.most(&order),
        phase,
        asked: Arc::new(asked_of(call, order)),
    })
}

fn asked_of(call: &PaidCall, order: Order) -> CallSummary {
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
