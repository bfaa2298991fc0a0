//! Prices a call, reserves the most it can cost, lets it go, and settles what it did cost.
//!
//! Reads: the body's members that decide the price, the limits of the team, the user and the key. Writes: the ledger, the
//! record's charge, the cost headers. Refuses: `invalid_body`, `budget_exhausted`, `rate_limited`, `quota_exhausted`,
//! `too_many_concurrent`, `ledger_unavailable`.
//! Position: below everything that may still refuse the request for what it is, above everything that costs money. From
//! here on the call runs to its end, whether its caller stays or not.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tower::{Layer, Service};

use super::detach::Detach;
use super::keeper::Keeper;
use super::{denial, settle};
use crate::credits::Credits;
use crate::http::{Answer, AnswerBody, SERVER_TIMING, X_CREDITS_COST, X_CREDITS_REMAINING};
use crate::ledger::{self, Asked, Level, Phase, Reservation, ReservationId, Scope, Standing, Verdict};
use crate::pricing::{Order, asked};
use crate::refusal::Refusal;
use crate::request::collect::PaidCall;
use crate::team::limit::{Shape, Unit};
use crate::upstream::{Forwarded, Passed};

/// A call that was paid for: only admission makes it, so nothing else can reach the upstream.
#[derive(Debug)]
pub struct Admitted {
    call: PaidCall,
}

impl Admitted {
    /// The call.
    #[must_use]
    pub const fn call(&self) -> &PaidCall {
        &self.call
    }

    /// The model as a metric label.
    #[must_use]
    pub fn model_label(&self) -> &str {
        self.call.team.prices.label(&self.call.model)
    }
}

/// Makes [`Admit`].
#[derive(Clone)]
pub struct AdmitLayer {
    keeper: Arc<Keeper>,
}

impl AdmitLayer {
    /// A layer that admits through this worker's ledger.
    #[must_use]
    pub const fn new(keeper: Arc<Keeper>) -> Self {
        Self { keeper }
    }
}

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Admit<S> {
        Admit { inner, keeper: Arc::clone(&self.keeper) }
    }
}

/// The service of [`AdmitLayer`].
#[derive(Clone)]
pub struct Admit<S> {
    inner: S,
    keeper: Arc<Keeper>,
}

impl<S> Service<PaidCall> for Admit<S>
where
    S: Service<Admitted, Response = Forwarded, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Answer;
    type Error = Refusal;
    type Future = BoxFuture<'static, Result<Answer, Refusal>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx).map_err(|never| match never {})
    }

    fn call(&mut self, call: PaidCall) -> Self::Future {
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let keeper = Arc::clone(&self.keeper);
        Box::pin(async move {
            let granted = reserve(&keeper, &call).await?;
            let tracker = keeper.tracker().clone();
            Detach::new(run(keeper, inner, call, granted), tracker).await
        })
    }
}

/// What an admission granted: the money, and how the limits stood.
struct Granted {
    reservation: Reservation,
    standings: Vec<Standing>,
    at: jiff::Timestamp,
}

async fn reserve(keeper: &Keeper, call: &PaidCall) -> Result<Granted, Refusal> {
    let order = asked::order(&call.body, &call.price).map_err(Refusal::InvalidBody)?;
    let price = call.price.most(&order);
    let id = ReservationId::new();
    let admission = ledger::Admission {
        id,
        team: call.team.id.clone(),
        levels: levels(call),
        time_zone: call.team.time_zone.clone(),
        price,
        phase: Phase::Dispatched,
        asked: asked_of(call, order),
    };
    match keeper.ledger().admit(admission).await {
        Ok(Verdict::Admitted { standings, at }) => {
            for standing in standings.iter().filter(|standing| standing.shadow_refused) {
                keeper.observer().shadow_refused(&call.team.id, standing);
            }
            Ok(Granted { reservation: keeper.take_charge(id, call.team.id.clone(), price), standings, at })
        }
        Ok(Verdict::Refused { standings, binding, retry_at, at }) => {
            Err(denial::refusal(standings, binding, retry_at, at, price))
        }
        Err(outage) => {
            tracing::warn!(request_id = %call.id, %outage, "nothing could be reserved");
            Err(Refusal::LedgerUnavailable)
        }
    }
}

/// The levels whose limits hold for a call: the team, the user, and the gateway key when one was used.
fn levels(call: &PaidCall) -> Vec<Level> {
    let principal = &call.principal;
    let mut levels = Vec::with_capacity(3);
    levels.push(Level { scope: Scope::Team, limits: Arc::clone(&call.team.limits) });
    levels.push(Level { scope: Scope::User(principal.user.clone()), limits: Arc::clone(&call.team.user_limits) });
    if let crate::identity::Credential::Key(key) = &principal.credential {
        let limits = principal.key_limits.clone().unwrap_or_default();
        levels.push(Level { scope: Scope::Key(key.clone()), limits });
    }
    levels
}

fn asked_of(call: &PaidCall, order: Order) -> Asked {
    let principal = &call.principal;
    let key = match &principal.credential {
        crate::identity::Credential::Key(id) => Some(id.to_string()),
        crate::identity::Credential::Token { .. } => None,
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

/// The call itself, from its reservation to its settlement. Runs to the end, also without its caller.
async fn run<S>(keeper: Arc<Keeper>, mut inner: S, call: PaidCall, granted: Granted) -> Result<Answer, Refusal>
where
    S: Service<Admitted, Response = Forwarded, Error = Infallible>,
{
    let Granted { reservation, standings, at } = granted;
    let listed = keeper.open().list(reservation.id(), reservation.team().clone());
    let (team, price, reserved) = (Arc::clone(&call.team), call.price.clone(), reservation.price());
    let (record, arrived, model) = (call.record.clone(), call.at, call.model.clone());
    let forwarded = match inner.call(Admitted { call }).await {
        Ok(forwarded) => forwarded,
        Err(never) => match never {},
    };
    let end = settle::end(reservation.id(), &price, reserved, &forwarded, keeper.on_unknown());
    let charged = end.settlement.charged;
    keeper.settle(reservation, listed, end, team.prices.label(&model)).await;
    let upstream = forwarded.took;
    let others = {
        let mut facts = record.facts();
        facts.charged = Some(charged);
        facts.receiving + upstream
    };
    let mut answer = passed_on(forwarded.answer?);
    let headers = answer.headers_mut();
    headers.extend(ledger::headers::rate_limit_headers(&standings, at));
    headers.insert(X_CREDITS_COST, decimal(charged));
    if let Some(remaining) = credits_remaining(&standings, reserved, charged) {
        headers.insert(X_CREDITS_REMAINING, decimal(remaining));
    }
    headers.insert(SERVER_TIMING, timing(arrived.elapsed().saturating_sub(others), upstream));
    Ok(answer)
}

/// Only content type, content encoding and the body of an upstream answer pass.
fn passed_on(passed: Passed) -> Answer {
    let mut answer = http::Response::new(AnswerBody::new(passed.body).holding(Some(passed.held)));
    *answer.status_mut() = passed.status;
    let headers = answer.headers_mut();
    if let Some(content_type) = passed.content_type {
        headers.insert(http::header::CONTENT_TYPE, content_type);
    }
    if let Some(content_encoding) = passed.content_encoding {
        headers.insert(http::header::CONTENT_ENCODING, content_encoding);
    }
    answer
}

/// What is left of the tightest credit budget, now that the reservation has become a charge.
fn credits_remaining(standings: &[Standing], reserved: Credits, charged: Credits) -> Option<Credits> {
    let budgets = standings.iter().filter(|standing| matches!(standing.kind.shape(), Shape::Window(_, Unit::Credits)));
    let given_back = reserved.less(charged).micros();
    budgets.map(|standing| Credits::from_micros(standing.remaining() + given_back)).min()
}

fn decimal(credits: Credits) -> http::HeaderValue {
    http::HeaderValue::try_from(credits.to_string()).unwrap_or_else(|_| http::HeaderValue::from_static("0"))
}

fn timing(gateway: std::time::Duration, upstream: std::time::Duration) -> http::HeaderValue {
    let millis = |duration: std::time::Duration| duration.as_secs_f64() * 1000.0;
    let text = format!("gateway;dur={:.3}, queue;dur=0, upstream;dur={:.3}", millis(gateway), millis(upstream));
    http::HeaderValue::try_from(text).unwrap_or_else(|_| http::HeaderValue::from_static("gateway"))
}
