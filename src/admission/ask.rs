//! What a call asks of the ledger: the most it can cost, and the levels whose limits hold for it.

use std::sync::Arc;

use crate::identity::{Credential, Principal};
use crate::ledger::{Admission, Asked, Level, Phase, Scope};
use crate::pricing::{Order, asked};
use crate::refusal::Refusal;
use crate::request::collect::PaidCall;
use crate::team::Team;

/// What admits a call, and what judges it when only its price is asked: the same for both, so that a quote is what a call
/// would meet. Nothing was sent yet: it is marked as sent just before it is.
///
/// # Errors
/// `invalid_body`: a member that decides the price is not one, or out of range.
pub fn admission(call: &PaidCall) -> Result<Admission, Refusal> {
    let order = asked::order(&call.body, &call.price).map_err(Refusal::InvalidBody)?;
    Ok(Admission {
        id: call.call_id,
        team: call.team.id.clone(),
        levels: levels(&call.principal, &call.team),
        time_zone: call.team.time_zone.clone(),
        price: call.price.most(&order),
        phase: Phase::Waiting,
        asked: asked_of(call, order),
    })
}

/// The levels whose limits hold: the team, the user, and the gateway key when one was used.
#[must_use]
pub fn levels(principal: &Principal, team: &Team) -> Vec<Level> {
    let mut levels = Vec::with_capacity(3);
    levels.push(Level { scope: Scope::Team, limits: Arc::clone(&team.limits) });
    levels.push(Level { scope: Scope::User(principal.user.clone()), limits: Arc::clone(&team.user_limits) });
    if let Credential::Key(key) = &principal.credential {
        let limits = principal.key_limits.clone().unwrap_or_default();
        levels.push(Level { scope: Scope::Key(key.clone()), limits });
    }
    levels
}

fn asked_of(call: &PaidCall, order: Order) -> Asked {
    let principal = &call.principal;
    let key = match &principal.credential {
        Credential::Key(id) => Some(id.to_string()),
        Credential::Token { .. } => None,
    };
    Asked {
        request_id: call.id.to_string(),
        user: principal.user.to_string(),
        credential: principal.credential.id().to_owned(),
        key,
        model: call.model.to_string(),
        images: order.images,
        seconds: order.seconds,
        price_version: call.team.prices.version.clone(),
    }
}
