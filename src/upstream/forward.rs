//! Sends one call, with one key, over the wire.
//!
//! Reads: the call and the key. Writes: nothing. Refuses: nothing; it tells what happened.
//! Position: innermost. Its headers are the gateway's own, so that nothing of the caller's can go out.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::Full;
use tower::Service;

use super::wire::{Failed, Received, Wire};
use super::{Line, Upstream};
use crate::http::{TRACEPARENT, X_REQUEST_ID};
use crate::model::ModelId;
use crate::request::{RequestId, Room};

/// What goes out.
pub struct Outgoing {
    /// Where to.
    pub upstream: Arc<Upstream>,
    /// Over which connection; or why there is none.
    pub line: Result<Line, Failed>,
    /// `Bearer <shared key>`.
    pub authorization: HeaderValue,
    /// The model.
    pub model: ModelId,
    /// The body, byte for byte.
    pub body: Bytes,
    /// The request's name.
    pub id: RequestId,
    /// The W3C trace the call belongs to.
    pub traceparent: Option<HeaderValue>,
    /// Room for its answer.
    pub room: Arc<Room>,
}

/// The innermost service of the stack.
#[derive(Clone)]
pub struct Forward {
    wire: Wire,
}

impl Forward {
    /// Sends over these connections.
    #[must_use]
    pub const fn new(wire: Wire) -> Self {
        Self { wire }
    }
}

impl Service<Outgoing> for Forward {
    type Response = Received;
    type Error = Failed;
    type Future = BoxFuture<'static, Result<Received, Failed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, outgoing: Outgoing) -> Self::Future {
        let (bounds, room) = (outgoing.upstream.bounds, Arc::clone(&outgoing.room));
        match request(outgoing) {
            Ok((line, request)) => Box::pin(self.wire.exchange(line, request, bounds, room)),
            Err(failed) => Box::pin(std::future::ready(Err(failed))),
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("moongate/", env!("CARGO_PKG_VERSION")));
const OF_THE_CALL: HeaderValue = HeaderValue::from_static("-");

/// What every call to a host says in its headers, with the places of those that are the call's own: to copy it costs half of
/// building it, since a header put into its place neither searches for one nor makes room. The copy has no room for more.
pub(super) fn head(host: &HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([
        (HOST, host.clone()),
        (AUTHORIZATION, OF_THE_CALL),
        (CONTENT_TYPE, JSON),
        (ACCEPT, JSON),
        (ACCEPT_ENCODING, IDENTITY),
        (USER_AGENT, AGENT),
        (X_REQUEST_ID, OF_THE_CALL),
        (TRACEPARENT, OF_THE_CALL),
        (CONTENT_LENGTH, OF_THE_CALL),
    ])
}

fn request(outgoing: Outgoing) -> Result<(Line, Request<Full<Bytes>>), Failed> {
    let line = outgoing.line?;
    let origin = &outgoing.upstream.origin;
    let path = [&origin.prefix, "/v1/", outgoing.model.as_str()].concat();
    let path = PathAndQuery::from_maybe_shared(path).map_err(|error| Failed::Unreachable(error.to_string()))?;
    let mut headers = origin.head.clone();
    headers.insert(AUTHORIZATION, outgoing.authorization);
    headers.insert(X_REQUEST_ID, outgoing.id.to_header());
    headers.insert(CONTENT_LENGTH, outgoing.body.len().into());
    match outgoing.traceparent {
        Some(traceparent) => headers.insert(TRACEPARENT, traceparent),
        None => headers.remove(TRACEPARENT),
    };
    let mut request = Request::new(Full::new(outgoing.body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.into();
    *request.headers_mut() = headers;
    Ok((line, request))
}
