//! Reads the whole body of a paid call, bounded in size, time and memory.
//!
//! Reads: content type, coding and length, the idempotency key, the body. Writes: the record's
//! `bytes_in`. Refuses: `media_type_unsupported`, `body_too_large`, `body_timeout`, `invalid_body`,
//! `invalid_request`, `overloaded`. Position: below authorization, so that a call that is refused
//! anyway takes no memory; above everything that costs money, so that a broken body is never
//! charged.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Version};
use http_body::Body;
use http_body_util::BodyExt;

use super::{Authorized, KeyHash};
use crate::http::{Answer, Gathered, IDEMPOTENCY_KEY, Transport};
use crate::identity::Principal;
use crate::ledger::ReservationId;
use crate::model::ModelId;
use crate::pricing::Price;
use crate::refusal::Refusal;
use crate::request::{Buffer, BufferPermit, RequestId, RequestLog, Settings, Stage, Wait};
use crate::step::{Below, Step, Under};
use crate::team::{Team, TeamId};

/// A paid call with its whole body.
#[derive(Debug)]
pub struct PaidCall {
    /// Id of the request: the caller's, or one that the gateway made.
    pub id: RequestId,
    /// Unique id of the call, its reservation and its row.
    pub call_id: ReservationId,
    /// When it arrived.
    pub at: Instant,
    /// The kind of connection that its answer goes over.
    pub transport: Transport,
    /// The request's log.
    pub record: RequestLog,
    /// Who calls.
    pub principal: Arc<Principal>,
    /// The team that pays.
    pub team: Arc<Team>,
    /// The model.
    pub model: ModelId,
    /// What that costs.
    pub price: Price,
    /// The body, byte for byte.
    pub body: Bytes,
    /// The body's share of the bounded memory.
    pub held: BufferPermit,
    /// The idempotency key, if it has one.
    pub idempotency_key: Option<KeyHash>,
}

impl PaidCall {
    /// The model as a metric label.
    #[must_use]
    pub fn model_label(&self) -> &str {
        self.team.prices.label(&self.model)
    }

    /// Drops the body once it is not needed any more, which frees its memory.
    pub fn let_go_of_body(&mut self) {
        self.body = Bytes::new();
        self.held.shrink(0);
    }
}

/// Takes bodies in.
#[derive(Debug)]
pub struct Collect {
    settings: Settings,
    buffer: Buffer,
}

impl<S, B> Step<Authorized<B>, S> for Collect
where
    S: Under<PaidCall, Answer, Refusal>,
    B: Body<Data = Bytes> + Send + 'static,
{
    type HandsOn = PaidCall;
    type Response = Answer;
    type Error = Refusal;
    type Future = BoxFuture<'static, Result<Answer, Refusal>>;

    fn take(self: &Arc<Self>, authorized: Authorized<B>, below: Below<'_, S>) -> Self::Future {
        // Boxed, so that its state is freed once the body is here and does not enlarge the call's
        // future.
        let taken_in = Box::pin(Arc::clone(self).take_in(authorized));
        below.later(|mut below| async move {
            let call = taken_in.await?;
            below.call(call).await
        })
    }
}

impl Collect {
    /// Collects bodies within these bounds.
    #[must_use]
    pub const fn new(settings: Settings, buffer: Buffer) -> Self {
        Self { settings, buffer }
    }

    async fn take_in<B: Body<Data = Bytes>>(
        self: Arc<Self>,
        authorized: Authorized<B>,
    ) -> Result<PaidCall, Refusal> {
        let (arrival, call_id, principal, team, model, price) = authorized.into_parts();
        let (head, body) = arrival.request.into_parts();
        check_headers(&head.headers)?;
        let idempotency_key = idempotency_key(&head.headers)?;
        let declared = declared_length(&head.headers);
        let most = self.admissible(declared)?;
        let mut span = arrival.record.enter(Stage::ReceiveBody);
        arrival.record.facts().waits_for(Wait::Body);
        let body =
            tokio::time::timeout(self.settings.body_timeout, self.read(&team.id, body, most)).await;
        arrival.record.facts().waited();
        let body = body.map_err(|_| Refusal::BodyTimeout).flatten();
        let (body, held) = body.inspect_err(|refusal| span.refused(|| refusal.kind()))?;
        span.end();
        arrival.record.facts().bytes_in = body.len() as u64;
        let (id, at, record) = (arrival.id, arrival.at, arrival.record);
        let transport =
            if head.version < Version::HTTP_2 { Transport::Connection } else { Transport::Stream };
        Ok(PaidCall {
            id,
            call_id,
            at,
            transport,
            record,
            principal,
            team,
            model,
            price,
            body,
            held,
            idempotency_key,
        })
    }

    /// The most bytes to accept: the declared length, or else the bound.
    fn admissible(&self, declared: Option<u64>) -> Result<u64, Refusal> {
        let bytes_max = self.settings.body_bytes_max;
        match declared {
            Some(bytes) if bytes > bytes_max => Err(Refusal::BodyTooLarge { bytes_max }),
            Some(bytes) => Ok(bytes),
            None => Ok(bytes_max),
        }
    }

    /// Takes memory as bytes arrive: a declared length alone takes none from others.
    async fn read<B: Body<Data = Bytes>>(
        &self,
        team: &TeamId,
        body: B,
        most: u64,
    ) -> Result<(Bytes, BufferPermit), Refusal> {
        let mut body = std::pin::pin!(body);
        let mut gathered = Gathered::default();
        let mut room = most.min(STEP_BYTES);
        let mut held = self.buffer.hold(team, room)?;
        while let Some(frame) = body.frame().await {
            let broken = || {
                Refusal::InvalidBody(vec![
                    "the body was cut short or its framing is broken".to_owned(),
                ])
            };
            // Drops trailers, which must not reach the upstream.
            let Ok(data) = frame.map_err(|_| broken())?.into_data() else { continue };
            let bytes_max = self.settings.body_bytes_max;
            let bytes = (gathered.len() + data.len()) as u64;
            if bytes > bytes_max {
                return Err(Refusal::BodyTooLarge { bytes_max });
            }
            if bytes > room {
                let more = (bytes - room).max(STEP_BYTES);
                held.grow(more)?;
                room += more;
            }
            gathered.push(data);
        }
        held.shrink(gathered.len());
        Ok((gathered.finish(), held))
    }
}

/// How much memory is taken at a time for a body that is arriving.
const STEP_BYTES: u64 = 64 * 1024;

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_json =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
            let essence = value.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
        });
    let is_plain = headers
        .get(CONTENT_ENCODING)
        .is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !is_json || !is_plain {
        return Err(Refusal::MediaTypeUnsupported);
    }
    Ok(())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<KeyHash>, Refusal> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let first = keys.next();
    let well_formed = first.is_none_or(|key| {
        (1..=255).contains(&key.len()) && key.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    if well_formed && keys.next().is_none() {
        Ok(first.map(KeyHash::of))
    } else {
        Err(Refusal::InvalidRequest(vec![
            "Idempotency-Key must be 1 to 255 visible ASCII characters, once".to_owned(),
        ]))
    }
}
