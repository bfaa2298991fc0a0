//! HTTP client of one worker: sends a call over one of its connections and receives the whole
//! answer.
//!
//! Uses hyper's connections directly: its pooled client takes 40 % more of the gateway's time per
//! call.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, TryFutureExt};
use http::header::{CONTENT_LENGTH, HOST};
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Lost};
use super::http2_connection::RequestBody;
use super::origin::Origin;
use super::pool::{Found, Pool};
use super::reserved_connection::ReservedConnection;
use super::{Bounds, Upstream};
use crate::http::Gathered;
use crate::live::Live;
use crate::request::{AnswerPermit, Buffer};

/// Connections of one worker. Clones share them.
#[derive(Clone)]
pub struct UpstreamClient {
    pool: Arc<Pool>,
    buffer: Buffer,
}

/// A complete answer.
#[derive(Debug)]
pub struct Received {
    /// Status and headers.
    pub head: http::response::Parts,
    /// The body.
    pub body: Bytes,
    /// Memory for it.
    pub answer_permit: Arc<AnswerPermit>,
}

/// Why there is no answer. The texts are for the log.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// Not sent: no connection could be opened.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// Sent, and no answer came in time.
    #[error("no answer in time")]
    TimedOut,
    /// Not sent: other calls use all streams of the connections.
    #[error("no place on a connection in time")]
    NoStream,
    /// Not sent: the connection was closed before. Another connection may be used.
    #[error("the connection was closed while it was idle")]
    Gone,
    /// Sent, and the answer is not HTTP, or broke off.
    #[error("broken answer: {0}")]
    Broken(String),
    /// Sent, and the answer is larger than this bound.
    #[error("the answer is larger than {0}")]
    TooLarge(&'static str),
}

impl UpstreamClient {
    /// No connections yet.
    #[must_use]
    pub fn new(buffer: Buffer) -> Self {
        Self { pool: Arc::new(Pool::default()), buffer }
    }

    /// A connection that can take a request at once.
    #[must_use]
    pub fn at_hand(&self, origin: &Arc<Origin>, bounds: Bounds) -> Option<ReservedConnection> {
        self.pool.at_hand(origin, bounds.idle).map(|found| self.reserved(found, origin))
    }

    /// A connection that can take a request: an idle one, one that becomes free in time, or a new
    /// one.
    ///
    /// # Errors
    /// Nothing was sent: [`Failed::Unreachable`] or [`Failed::NoStream`].
    pub async fn connect(
        &self,
        origin: &Arc<Origin>,
        bounds: Bounds,
    ) -> Result<ReservedConnection, Failed> {
        match tokio::time::timeout(bounds.connect, Box::pin(self.pool.find(origin, bounds.idle)))
            .await
        {
            Ok(Ok(found)) => Ok(self.reserved(found, origin)),
            Ok(Err(error)) => Err(Failed::Unreachable(error.to_string())),
            Err(_) if self.pool.is_crowded() => Err(Failed::NoStream),
            Err(_) => Err(Failed::Unreachable("no connection in time".to_owned())),
        }
    }

    /// Closes connections that have been idle for too long, also when no calls come; runs until
    /// stopped.
    pub async fn tend(self, upstream: Live<Upstream>, stop: CancellationToken) {
        loop {
            let idle_max = upstream.read().bounds.idle;
            if stop.run_until_cancelled(tokio::time::sleep(idle_max.max(TEND_MIN))).await.is_none()
            {
                return;
            }
            self.pool.close_idle_for(idle_max);
        }
    }

    fn reserved(&self, found: Found, origin: &Arc<Origin>) -> ReservedConnection {
        ReservedConnection::new(found, Arc::clone(origin), Arc::clone(&self.pool))
    }

    /// Sends a request (path only; the origin is added here) over a connection and receives the
    /// whole answer.
    ///
    /// Resends a request only when the upstream itself says that it was not processed (RFC 9113,
    /// section 8.7). If a reused connection was closed before it accepted anything, that is an
    /// error: before a call goes over another connection, the ledger must know that it waits again.
    ///
    /// Not an `async fn`, which would keep its arguments to the end beside what is made of them.
    /// This future is part of every open call, and allocations above a kibibyte are slower: hence
    /// the boxed request, and the blocks that consume their arguments.
    ///
    /// # Errors
    /// [`Failed`] says whether the upstream can have seen the request.
    pub fn exchange(
        &self,
        mut reserved: ReservedConnection,
        request: Request<Full<Bytes>>,
        bounds: Bounds,
        answer_permit: Arc<AnswerPermit>,
    ) -> impl Future<Output = Result<Received, Failed>> + Send + use<> {
        let client = self.clone();
        let (mut request, mut resends) = (Box::new(request.map(RequestBody::new)), RESENDS_MAX);
        async move {
            loop {
                let (found, origin) = reserved.use_up().ok_or(Failed::Gone)?;
                let Found { mut connection, mut timer, reused, .. } = found;
                prepare(&mut request, &connection, &origin)?;
                // One timer for the whole exchange.
                timer.as_mut().reset(Instant::now() + bounds.answer);
                let ended = {
                    let attempt = Self::attempt(
                        &mut connection,
                        request,
                        bounds.answer_bytes_max,
                        Arc::clone(&answer_permit),
                    );
                    let (mut attempt, mut waited) = (std::pin::pin!(attempt), Duration::ZERO);
                    loop {
                        tokio::select! {
                            biased;
                            ended = attempt.as_mut() => break ended,
                            () = timer.as_mut() => {}
                        }
                        // While there was no room here, the upstream could not send.
                        let more = answer_permit.waited().saturating_sub(waited);
                        if more.is_zero() {
                            return Err(Failed::TimedOut);
                        }
                        waited += more;
                        timer.as_mut().reset(Instant::now() + more);
                    }
                };
                match ended {
                    Ok(received) => {
                        if let (Ok(_), Connection::Http1(sender)) = (&received, connection) {
                            client.pool.keep(&origin, sender, timer);
                        }
                        return received;
                    }
                    Err(Lost::Unsent) if reused => return Err(Failed::Gone),
                    Err(Lost::Unsent) => {
                        return Err(Failed::Unreachable("closed as it was opened".to_owned()));
                    }
                    Err(Lost::Unprocessed(back)) if resends > 0 => {
                        resends -= 1;
                        request = back;
                        reserved = client.at_hand_or_connect(&origin, bounds).await?;
                    }
                    Err(Lost::Unprocessed(_)) => {
                        return Err(Failed::Unreachable(
                            "the upstream refused to process it, again and again".to_owned(),
                        ));
                    }
                    Err(Lost::Sent(error)) => return Err(Failed::Broken(describe(&error))),
                }
            }
        }
    }

    /// Sends a request that no team pays for, over any connection.
    ///
    /// # Errors
    /// As above, except [`Failed::Gone`].
    pub fn ask(
        &self,
        origin: &Arc<Origin>,
        request: Request<Full<Bytes>>,
        bounds: Bounds,
    ) -> impl Future<Output = Result<Received, Failed>> + Send + use<> {
        let (client, origin) = (self.clone(), Arc::clone(origin));
        async move {
            loop {
                let reserved = client.at_hand_or_connect(&origin, bounds).await?;
                match client
                    .exchange(reserved, request.clone(), bounds, client.buffer.unpaid())
                    .await
                {
                    Err(Failed::Gone) => {}
                    ended => return ended,
                }
            }
        }
    }

    /// A connection that is idle, or else as in [`UpstreamClient::connect`].
    ///
    /// # Errors
    /// As there.
    pub async fn at_hand_or_connect(
        &self,
        origin: &Arc<Origin>,
        bounds: Bounds,
    ) -> Result<ReservedConnection, Failed> {
        match self.at_hand(origin, bounds) {
            Some(reserved) => Ok(reserved),
            None => self.connect(origin, bounds).await,
        }
    }

    /// Sends a request once. After [`Lost`] it may be resent; after a failure to receive it may
    /// not.
    fn attempt(
        connection: &mut Connection,
        request: Box<Request<RequestBody>>,
        answer_bytes_max: u64,
        answer_permit: Arc<AnswerPermit>,
    ) -> impl Future<Output = Result<Result<Received, Failed>, Lost>> + Send {
        connection.send(request).and_then(move |response| {
            Self::receive(response, answer_bytes_max, answer_permit).map(Ok)
        })
    }

    fn receive(
        response: Response<Incoming>,
        answer_bytes_max: u64,
        answer_permit: Arc<AnswerPermit>,
    ) -> impl Future<Output = Result<Received, Failed>> + Send {
        let (head, body) = response.into_parts();
        async move {
            let length = head
                .headers
                .get(CONTENT_LENGTH)
                .and_then(|value| value.to_str().ok()?.parse().ok());
            if length.is_some_and(|length: u64| length > answer_bytes_max) {
                return Err(Failed::TooLarge(ANSWER_BYTES_MAX));
            }
            let body = Self::gather(body, length, answer_bytes_max, &answer_permit).await?;
            Ok(Received { head, body, answer_permit })
        }
    }

    /// Reads the body. Everything but the current frame already has room; for that it waits if
    /// there is none, see [`AnswerPermit`].
    async fn gather(
        mut body: Incoming,
        length: Option<u64>,
        bytes_max: u64,
        answer_permit: &AnswerPermit,
    ) -> Result<Bytes, Failed> {
        if let Some(length) = length {
            answer_permit.hold(length).await;
        }
        let mut gathered = Gathered::expecting(
            length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0),
        );
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| Failed::Broken(describe(&error)))?.into_data()
            else {
                continue;
            };
            let bytes = (gathered.len() + data.len()) as u64;
            if bytes > bytes_max {
                return Err(Failed::TooLarge(ANSWER_BYTES_MAX));
            }
            let there_is = answer_permit.bytes();
            if bytes > there_is {
                // An answer of unknown length doubles its room.
                answer_permit.hold(bytes.max(there_is.saturating_mul(2)).min(bytes_max)).await;
            }
            gathered.push(data);
        }
        answer_permit.settle(gathered.len());
        Ok(gathered.finish())
    }
}

/// Configuration key of the largest answer.
const ANSWER_BYTES_MAX: &str = "upstream.answer_bytes_max";
/// Least time between two looks at idle connections.
const TEND_MIN: Duration = Duration::from_millis(100);
/// How often one unprocessed request is resent.
const RESENDS_MAX: u32 = 2;

/// HTTP/1 needs a path and `Host`, HTTP/2 the whole URI.
fn prepare(
    request: &mut Request<RequestBody>,
    connection: &Connection,
    origin: &Origin,
) -> Result<(), Failed> {
    let unusable = |error: &dyn std::fmt::Display| Failed::Unreachable(error.to_string());
    match connection {
        Connection::Http1(_) => {
            request.headers_mut().entry(HOST).or_insert_with(|| origin.host.clone());
        }
        Connection::Http2(_) => {
            request.headers_mut().remove(HOST);
            *request.uri_mut() =
                origin.absolute(request.uri()).map_err(|error| unusable(&error))?;
            *request.version_mut() = Version::HTTP_2;
        }
    }
    Ok(())
}

/// hyper's message with its cause, for the log.
fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
