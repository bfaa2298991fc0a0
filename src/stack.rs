//! The path of a request: every layer, outermost first, and why it stands where it stands.
//!
//! ```text
//!  any caller          trace_and_count ▸ catch_panic ▸ answer_refusals ▸ check_request ▸ route ─────────┬▸ catalogue
//!  (Refusal → answer)                                                                                  │
//!  known caller                                     authenticate ▸ measure_team ▸ tell_limits ─────────┼▸ account
//!  (Authenticated<B>)                                                                                  │
//!  paid call   authorize ▸ collect_body ▸ replay ▸ breaker ▸ admit ▸ queue ▸ swap_credential ▸ forward ─┤
//!  its quote           authorize ▸ collect_body ▸ quote ───────────────────────────────────────────────┘
//! ```
//!
//! Each layer takes the type that the one before it hands on (`Inbound → Arrival → Routed → Authenticated → Wanted →
//! Authorized → PaidCall → NewCall → Admitted → Permitted → Outgoing`), so a wrong order does not compile. Five of them
//! are proofs that one layer alone can make: `Authenticated`, `Authorized`, `NewCall`, `Admitted`, `Permitted`. Below
//! `answer_refusals` every error is a `Refusal`; above it there are none.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::{Either, Ready, ready};
use http_body::Body;
use tower::{Service, ServiceBuilder};

use crate::account::{self, Question};
use crate::admission::{AdmitLayer, Latest, ReservationManager, TellLimitsLayer, Undelivered};
use crate::answer::{AnswerRefusalsLayer, CatchPanicLayer};
use crate::call::{AuthorizeLayer, CollectLayer, Wanted};
use crate::catalogue;
use crate::clock::Clock;
use crate::http::Answer;
use crate::idempotency::{ReplayLayer, Replays, Times};
use crate::identity::{AuthenticateLayer, Authenticated, Authenticator, CredentialGuard};
use crate::live::Live;
use crate::permits::Permits;
use crate::pricing::PriceTable;
use crate::refusal::Refusal;
use crate::request::check_request::CheckRequestLayer;
use crate::request::lookup::Lookup;
use crate::request::route::AuthenticatedRoute;
use crate::request::router::Router;
use crate::request::{self, Buffer, Inbound};
use crate::telemetry::trace_and_count::CountedBody;
use crate::telemetry::{MeasureTeamLayer, TraceAndCountLayer};
use crate::upstream::{
    self, BreakerLayer, Forward, PermitClient, QueueLayer, SwapCredentialLayer, Upstream, UpstreamClient, Ways,
};

/// What the stack of one worker is made of. Everything in it was acquired before; putting it together cannot fail.
#[derive(Clone)]
pub struct Parts {
    /// Names requests, counts them, writes their access lines.
    pub trace_and_count: TraceAndCountLayer,
    /// Counts per team.
    pub measure_team: MeasureTeamLayer,
    /// What a well-formed request may be.
    pub request: request::Settings,
    /// The most bytes of headers.
    pub header_bytes_max: usize,
    /// Memory for bodies, over all workers.
    pub buffer: Buffer,
    /// Who may call.
    pub directory: Live<Authenticator>,
    /// This worker's handle to where those are judged whom the directory does not know at once.
    pub gate: Arc<CredentialGuard>,
    /// This worker's ledger, and what looks after its reservations.
    pub keeper: Arc<ReservationManager>,
    /// This worker's handle to the shared account's permits.
    pub permits: Arc<dyn Permits>,
    /// This worker's handle to what is remembered of calls.
    pub replays: Replays,
    /// Where calls go.
    pub upstream: Live<Upstream>,
    /// Who watches them.
    pub upstream_observer: Arc<dyn upstream::Observer>,
    /// This worker's connections to the upstream.
    pub wire: UpstreamClient,
    /// What is known of callers' limits, over all workers.
    pub latest: Latest,
    /// Slots of answers that nobody has read yet, over all workers.
    pub undelivered: Undelivered,
    /// The catalogue's answers.
    pub catalogue: catalogue::Cache,
    /// How often the upstream was asked for it.
    pub misses: catalogue::Misses,
    /// What models cost: those exist.
    pub prices: Live<PriceTable>,
    /// How the catalogue is served.
    pub catalogue_settings: Live<catalogue::Settings>,
    /// Whether it is served to everyone.
    pub catalogue_is_public: Live<bool>,
    /// How the team's own views are served.
    pub account: Live<account::Settings>,
    /// The time.
    pub clock: Clock,
}

/// Puts the stack together.
pub fn stack<B>(
    parts: Parts,
) -> impl Service<Inbound<B>, Response = http::Response<CountedBody>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let Parts { upstream, clock, .. } = parts.clone();
    let catalogue = catalogue::Answers::new(catalogue::Parts {
        cache: parts.catalogue,
        misses: parts.misses,
        wire: parts.wire.clone(),
        upstream: upstream.clone(),
        settings: parts.catalogue_settings,
        prices: parts.prices,
        proxies: Arc::clone(parts.gate.proxies()),
        clock: clock.clone(),
    });
    let reading = account::Reading::new(Arc::clone(parts.keeper.ledger()), parts.undelivered.clone(), parts.account);
    let account = account::Views::new(reading.clone(), parts.replays.clone(), parts.buffer.clone());
    let ledger = Arc::clone(parts.keeper.ledger());
    let replay = ReplayLayer::new(parts.replays.clone(), ledger, times_of(upstream.clone()), parts.buffer.clone());
    let tell_limits = TellLimitsLayer::new(parts.latest.clone(), Arc::clone(parts.keeper.ledger()));
    let observer = parts.upstream_observer;
    let desk = PermitClient::new(parts.permits, upstream.clone(), Arc::clone(&observer), clock.clone());
    let ways = Ways { upstream: upstream.clone(), wire: parts.wire.clone(), clock: clock.clone() };
    let queue = QueueLayer::new(desk, ways.clone(), Arc::clone(&observer));
    let swap = SwapCredentialLayer::new(clock.clone(), observer);
    let breaker = BreakerLayer::new(upstream.clone(), clock.clone());

    let quote = ServiceBuilder::new()
        // Below the same two layers as the call itself: what they refuse a call, they refuse its quote.
        .layer(AuthorizeLayer)
        .layer(CollectLayer::new(parts.request.clone(), parts.buffer.clone()))
        .service(account::Quotes::new(reading));

    let paid = ServiceBuilder::new()
        // Refused for the model before a byte of the body is held.
        .layer(AuthorizeLayer)
        // The whole body, before anything is reserved: a broken one must cost nothing.
        .layer(CollectLayer::new(parts.request, parts.buffer.clone()))
        // A call that was made before is not made again, and reserves nothing.
        .layer(replay)
        // Refused at once while the upstream fails, before anything is reserved; a kept answer is given out all the
        // same.
        .layer(breaker)
        // Reserves the price; once it was sent, the call runs to its end and is settled, whether its caller stays or
        // not.
        .layer(AdmitLayer::new(parts.keeper, parts.latest, parts.undelivered, parts.buffer, parts.replays, ways))
        // Who waits for the shared account has paid: nobody holds a place for a call that is then refused.
        .layer(queue)
        // Only what was permitted goes out, with the key of its permit.
        .layer(swap)
        .service(Forward::new(parts.wire));

    let known = ServiceBuilder::new()
        // Nothing below sees a credential, nothing above knows a team.
        .layer(AuthenticateLayer::new(parts.directory, parts.gate))
        // Directly below: every request of a known team is counted for it, also those refused further down.
        .layer(parts.measure_team)
        // Above every answer to a known caller, whether it comes from the catalogue, a view, a call, or a refusal.
        .layer(tell_limits)
        .service(KnownFork { catalogue: catalogue.clone(), account, quote, paid });

    ServiceBuilder::new()
        // Outermost: names the request, and sees every answer there is, a panic's too.
        .layer(parts.trace_and_count)
        // A panic below becomes a 500 of this request and of no other.
        .layer(CatchPanicLayer::new(clock.clone()))
        // Above every layer that refuses; the one place where a refusal becomes an answer.
        .layer(AnswerRefusalsLayer::new(clock))
        // Before anything trusts a header or a path.
        .layer(CheckRequestLayer::new(parts.header_bytes_max))
        .service(Router { catalogue, known, catalogue_is_public: parts.catalogue_is_public })
}

/// How long a call may take by the upstream's settings, as they are when it comes.
fn times_of(upstream: Live<Upstream>) -> impl Fn() -> Times + Send + Sync + 'static {
    move || {
        let upstream = upstream.read();
        Times { wait: upstream.queue.max_wait, call: upstream.longest_call() }
    }
}

/// Where the path of a known caller divides.
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
    Q: Service<Wanted<B>, Response = Answer, Error = Refusal>,
    P: Service<Wanted<B>, Response = Answer, Error = Refusal>,
{
    type Response = Answer;
    type Error = Refusal;
    type Future =
        Either<Either<P::Future, Ready<Result<Answer, Refusal>>>, Either<Either<A::Future, Q::Future>, C::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        ready!(self.catalogue.poll_ready(cx))?;
        ready!(self.account.poll_ready(cx))?;
        ready!(self.quote.poll_ready(cx))?;
        self.paid.poll_ready(cx)
    }

    fn call(&mut self, caller: Authenticated<B>) -> Self::Future {
        match caller.route().clone() {
            AuthenticatedRoute::Generate(model) => {
                Either::Left(Either::Left(self.paid.call(Wanted::generation(caller, model))))
            }
            AuthenticatedRoute::Nothing(refusal) => Either::Left(Either::Right(ready(Err(*refusal)))),
            AuthenticatedRoute::Catalogue(question) => {
                let (arrival, ..) = caller.into_parts();
                Either::Right(Either::Right(self.catalogue.call(Lookup::of(arrival, question))))
            }
            AuthenticatedRoute::Quote(model) => {
                Either::Right(Either::Left(Either::Right(self.quote.call(Wanted::quote(caller, model)))))
            }
            AuthenticatedRoute::Account(view) => {
                let (arrival, _, principal, team) = caller.into_parts();
                let query = arrival.request.uri().query().map(str::to_owned);
                let question = Question { view, query, principal, team };
                Either::Right(Either::Left(Either::Left(self.account.call(question))))
            }
        }
    }
}
