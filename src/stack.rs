//! The path of a request: every layer, outermost first, and why it is in that place.
//!
//! ```text
//! any caller      trace_and_count ▸ cors ▸ catch_panic ▸ answer_refusals ▸ check_request ▸ route
//! (Refusal → answer)  ├▸ pages, catalogue
//! known caller        └▸ authenticate ▸ measure_team ▸ tell_limits
//! (Authenticated<B>)      ├▸ account
//! paid call               ├▸ authorize ▸ collect_body ▸ replay ▸ breaker ▸ admit ▸ queue
//!                         │      ▸ swap_credential ▸ forward
//! its quote               └▸ authorize ▸ collect_body ▸ quote
//! ```
//!
//! Each layer takes the type that the one before it hands on (`Inbound → Arrival → Routed →
//! Authenticated → CallRequest → Authorized → PaidCall → NewCall → Admitted → Permitted →
//! Outgoing`), so a wrong order does not compile. Five of them are proofs that one layer alone can
//! make: `Authenticated`, `Authorized`, `NewCall`, `Admitted`, `Permitted`. Below `answer_refusals`
//! every error is a `Refusal`; above it there are none.
//!
//! A layer that awaits something of its own is a [step](mod@crate::step); the others hand on at
//! once.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::{Either, Ready, ready};
use http_body::Body;
use tower::{Service, ServiceBuilder};

use crate::account::{self, Question};
use crate::admission::{Admit, Latest, ReservationManager, TellLimitsLayer, Undelivered};
use crate::answer::{AnswerRefusalsLayer, CatchPanicLayer};
use crate::call::{AuthorizeLayer, CallRequest, Collect};
use crate::catalogue;
use crate::clock::Clock;
use crate::http::Answer;
use crate::idempotency::{Replay, Replays, Times};
use crate::identity::{Authenticate, Authenticated, Authenticator, CredentialGuard, KeyNames};
use crate::live::Live;
use crate::pages::Pages;
use crate::permits::Permits;
use crate::pricing::PriceTable;
use crate::refusal::Refusal;
use crate::refused;
use crate::request::check_request::CheckRequestLayer;
use crate::request::cors::CorsLayer;
use crate::request::health::Health;
use crate::request::lookup::Lookup;
use crate::request::route::AuthenticatedRoute;
use crate::request::router::Router;
use crate::request::{self, Buffer, Inbound, Routed};
use crate::step::step;
use crate::telemetry::trace_and_count::CountedBody;
use crate::telemetry::{MeasureTeamLayer, TraceAndCountLayer};
use crate::upstream::{
    self, BreakerLayer, Forward, PermitClient, Queue, SwapCredential, Upstream, UpstreamAccess,
    UpstreamClient,
};

/// Everything the stack of one worker is made of. All of it was acquired before, so putting it
/// together cannot fail.
#[derive(Clone)]
pub struct Parts {
    /// Names requests, counts them, writes their access lines.
    pub trace_and_count: TraceAndCountLayer,
    /// Origins whose pages may call.
    pub cors: CorsLayer,
    /// Counts per team.
    pub measure_team: MeasureTeamLayer,
    /// Bounds of a well-formed request.
    pub request: request::Settings,
    /// The most bytes of headers.
    pub header_bytes_max: usize,
    /// Memory for bodies, over all workers.
    pub buffer: Buffer,
    /// Decides who is calling.
    pub authenticator: Live<Authenticator>,
    /// Bounds the work of verifying credentials, and slows down callers that guess them.
    pub credential_guard: Arc<CredentialGuard>,
    /// The worker's ledger and its open reservations.
    pub reservation_manager: Arc<ReservationManager>,
    /// The worker's handle to the shared account's permits.
    pub permits: Arc<dyn Permits>,
    /// Stored responses of calls that have an idempotency key.
    pub replays: Replays,
    /// Calls that were refused lately.
    pub refused: Arc<dyn refused::Store>,
    /// What people call the gateway keys.
    pub key_names: KeyNames,
    /// Where calls go.
    pub upstream: Live<Upstream>,
    /// Counts what happens upstream.
    pub upstream_observer: Arc<dyn upstream::Observer>,
    /// The worker's connections to the upstream.
    pub upstream_client: UpstreamClient,
    /// The limits of callers as last reported, over all workers.
    pub latest: Latest,
    /// Slots that stay taken because their answers are unread, over all workers.
    pub undelivered: Undelivered,
    /// The catalogue's answers.
    pub catalogue: catalogue::Cache,
    /// Bounds how often the upstream is asked for the catalogue.
    pub misses: catalogue::Misses,
    /// Prices of models. A model without one does not exist.
    pub prices: Live<PriceTable>,
    /// How the catalogue is served.
    pub catalogue_settings: Live<catalogue::Settings>,
    /// Whether the catalogue is served without a credential.
    pub catalogue_is_public: Live<bool>,
    /// Whether calls should be sent to this replica.
    pub health: Health,
    /// How the team's own views are served.
    pub account: Live<account::Settings>,
    /// The time.
    pub clock: Clock,
}

type CountedAnswer = http::Response<CountedBody>;

/// Puts the stack together: the layers that every request passes, and the router.
pub fn stack<B>(
    parts: Parts,
) -> impl Service<Inbound<B>, Response = CountedAnswer, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let catalogue = catalogue_answers(&parts);
    let known = known_caller(&parts, catalogue.clone());

    ServiceBuilder::new()
        // Outermost: names the request, and sees every answer, also one after a panic.
        .layer(parts.trace_and_count)
        // Above all that refuses, so that a page of another origin can read why.
        .layer(parts.cors)
        // Turns a panic below into a 500 of this request alone.
        .layer(CatchPanicLayer::new(parts.clock.clone()))
        // Above every layer that refuses: the one place where a refusal becomes an answer.
        .layer(AnswerRefusalsLayer::new(parts.clock))
        // Checks headers and path before anything trusts them.
        .layer(CheckRequestLayer::new(parts.header_bytes_max))
        .service(Router {
            pages: Pages::of_a_team(),
            catalogue,
            known,
            catalogue_is_public: parts.catalogue_is_public,
            health: parts.health,
        })
}

/// The layers of a request that must carry a credential, and the fork below them.
fn known_caller<B>(
    parts: &Parts,
    catalogue: catalogue::Answers,
) -> impl Service<Routed<B, AuthenticatedRoute>, Response = Answer, Error = Refusal, Future: Send>
+ Clone
+ Send
+ 'static
+ use<B>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let ledger = parts.reservation_manager.ledger();
    let reading =
        account::Reading::new(Arc::clone(ledger), parts.undelivered.clone(), parts.account.clone());
    let account = account::Views::new(
        reading.clone(),
        parts.replays.clone(),
        Arc::clone(&parts.refused),
        parts.key_names.clone(),
        parts.buffer.clone(),
    );
    let (authenticator, guard) = (parts.authenticator.clone(), &parts.credential_guard);

    ServiceBuilder::new()
        // No layer below sees a credential, none above knows a team.
        .layer(step(Authenticate::new(authenticator, Arc::clone(guard))))
        // Directly below `authenticate`, so that refusals further down count for their team.
        .layer(parts.measure_team.clone())
        // Above the fork, so that every answer to a known caller tells its limits.
        .layer(TellLimitsLayer::new(parts.latest.clone(), Arc::clone(ledger)))
        .service(KnownFork {
            catalogue,
            account,
            quote: quote(parts, reading),
            paid: paid_call(parts),
        })
}

/// The layers of a call that costs credits, down to the upstream.
fn paid_call<B>(
    parts: &Parts,
) -> impl Service<CallRequest<B>, Response = Answer, Error = Refusal, Future: Send>
+ Clone
+ Send
+ 'static
+ use<B>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let (admit, queue) = admit_and_queue(parts);
    let swap = SwapCredential::new(parts.clock.clone(), Arc::clone(&parts.upstream_observer));

    ServiceBuilder::new()
        // Refuses a model that the caller may not use before a byte of the body is held.
        .layer(AuthorizeLayer)
        // Reads the whole body before anything is reserved: a broken one must cost nothing.
        .layer(step(Collect::new(parts.request.clone(), parts.buffer.clone())))
        // Answers a repeated call from its stored response; it reserves nothing.
        .layer(step(replay(parts)))
        // Refuses at once while the upstream fails. Below `replay`, since a stored response needs
        // no upstream.
        .layer(BreakerLayer::new(parts.upstream.clone(), parts.clock.clone()))
        // Reserves the price. Once sent, a call runs to its end and is settled even if its caller
        // leaves.
        .layer(step(admit))
        // Below `admit`: a caller that cannot pay must not hold a position in the queue.
        .layer(step(queue))
        // Swaps the caller's credential for the shared key of its permit.
        .layer(step(swap))
        .service(Forward::new(parts.upstream_client.clone()))
}

/// The layers of a question about what a call would cost. They are those of the call itself as far
/// as its body, so that a quote is refused exactly when the call would be.
fn quote<B>(
    parts: &Parts,
    reading: account::Reading,
) -> impl Service<CallRequest<B>, Response = Answer, Error = Refusal, Future: Send>
+ Clone
+ Send
+ 'static
+ use<B>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    ServiceBuilder::new()
        .layer(AuthorizeLayer)
        .layer(step(Collect::new(parts.request.clone(), parts.buffer.clone())))
        .service(account::Quotes::new(reading))
}

/// Answers requests for the catalogue, whether or not the caller is known.
fn catalogue_answers(parts: &Parts) -> catalogue::Answers {
    catalogue::Answers::new(catalogue::Parts {
        cache: parts.catalogue.clone(),
        misses: parts.misses.clone(),
        client: parts.upstream_client.clone(),
        upstream: parts.upstream.clone(),
        settings: parts.catalogue_settings.clone(),
        prices: parts.prices.clone(),
        proxies: Arc::clone(parts.credential_guard.proxies()),
        clock: parts.clock.clone(),
    })
}

fn replay(parts: &Parts) -> Replay {
    Replay::new(
        parts.replays.clone(),
        Arc::clone(parts.reservation_manager.ledger()),
        times_of(parts.upstream.clone()),
        parts.buffer.clone(),
    )
}

/// The layers share connections: a call that is admitted with a free one is sent over it.
fn admit_and_queue(parts: &Parts) -> (Admit<UpstreamAccess>, Queue) {
    let observer = &parts.upstream_observer;
    let access = UpstreamAccess {
        upstream: parts.upstream.clone(),
        client: parts.upstream_client.clone(),
        clock: parts.clock.clone(),
    };
    let permits = PermitClient::new(
        Arc::clone(&parts.permits),
        parts.upstream.clone(),
        Arc::clone(observer),
        parts.clock.clone(),
    );
    let admit = Admit::new(
        Arc::clone(&parts.reservation_manager),
        parts.latest.clone(),
        parts.undelivered.clone(),
        parts.buffer.clone(),
        parts.replays.clone(),
        access.clone(),
    );
    (admit, Queue::new(permits, access, Arc::clone(observer)))
}

/// How long a call may take, by the upstream settings in force when it arrives.
fn times_of(upstream: Live<Upstream>) -> impl Fn() -> Times + Send + Sync + 'static {
    move || {
        let upstream = upstream.read();
        Times { wait: upstream.queue.max_wait, call: upstream.longest_call() }
    }
}

/// Sends the request of a known caller to the catalogue, an account view, a quote or the paid path.
#[derive(Clone)]
struct KnownFork<C, A, Q, P> {
    catalogue: C,
    account: A,
    quote: Q,
    paid: P,
}

impl<C, A, Q, P, B> Service<Authenticated<B>> for KnownFork<C, A, Q, P>
where
    C: Service<Lookup, Response = Answer, Error = Refusal>,
    A: Service<Question, Response = Answer, Error = Refusal>,
    Q: Service<CallRequest<B>, Response = Answer, Error = Refusal>,
    P: Service<CallRequest<B>, Response = Answer, Error = Refusal>,
{
    type Response = Answer;
    type Error = Refusal;
    type Future = Either<
        Either<P::Future, Ready<Result<Answer, Refusal>>>,
        Either<Either<A::Future, Q::Future>, C::Future>,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        ready!(self.catalogue.poll_ready(cx))?;
        ready!(self.account.poll_ready(cx))?;
        ready!(self.quote.poll_ready(cx))?;
        self.paid.poll_ready(cx)
    }

    fn call(&mut self, caller: Authenticated<B>) -> Self::Future {
        match caller.route().clone() {
            AuthenticatedRoute::Generate(model) => {
                Either::Left(Either::Left(self.paid.call(CallRequest::generation(caller, model))))
            }
            AuthenticatedRoute::Nothing(refusal) => {
                Either::Left(Either::Right(ready(Err(*refusal))))
            }
            AuthenticatedRoute::Catalogue(question) => {
                let (arrival, ..) = caller.into_parts();
                Either::Right(Either::Right(self.catalogue.call(Lookup::of(arrival, question))))
            }
            AuthenticatedRoute::Quote(model) => Either::Right(Either::Left(Either::Right(
                self.quote.call(CallRequest::quote(caller, model)),
            ))),
            AuthenticatedRoute::Account(view) => {
                let (arrival, _, principal, team) = caller.into_parts();
                let query = arrival.request.uri().query().map(str::to_owned);
                let question = Question { view, query, principal, team };
                Either::Right(Either::Left(Either::Left(self.account.call(question))))
            }
        }
    }
}
