//! Sends one call, with one key, over the wire.
//!
//! Reads: the call and the key. Writes: nothing. Refuses: nothing; it tells what happened.
//! Position: innermost. Its headers are built from nothing, so that nothing of the caller's can go out.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use tower::Service;

use super::Upstream;
use super::wire::{Failed, Received, Wire};
use crate::http::{TRACEPARENT, X_REQUEST_ID};
use crate::request::RequestId;
use crate::team::ModelId;

/// What goes out.
pub struct Outgoing {
    /// Where to.
    pub upstream: Arc<Upstream>,
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
        let wire = self.wire.clone();
        Box::pin(async move {
            let upstream = Arc::clone(&outgoing.upstream);
            wire.exchange(&upstream.origin, request(outgoing)?, upstream.bounds).await
        })
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("moongate/", env!("CARGO_PKG_VERSION")));

fn request(outgoing: Outgoing) -> Result<Request<Full<Bytes>>, Failed> {
    let path = [&outgoing.upstream.origin.prefix, "/v1/", outgoing.model.as_str()].concat();
    let path = PathAndQuery::from_maybe_shared(path).map_err(|error| Failed::Unreachable(error.to_string()))?;
    let mut request = Request::new(Full::new(outgoing.body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.into();
    let headers = request.headers_mut();
    headers.reserve(8);
    headers.insert(AUTHORIZATION, outgoing.authorization);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(ACCEPT, JSON);
    headers.insert(ACCEPT_ENCODING, IDENTITY);
    headers.insert(USER_AGENT, AGENT);
    headers.insert(X_REQUEST_ID, outgoing.id.to_header());
    if let Some(traceparent) = outgoing.traceparent {
        headers.insert(TRACEPARENT, traceparent);
    }
    Ok(request)
}
