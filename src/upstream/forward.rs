//! Sends one call with one shared key.
//!
//! Reads: the call and the key. Writes: nothing. Refuses: nothing; returns what happened. Position:
//! innermost. All headers are the gateway's own, so that none of the caller's can go out.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use tower::Service;

use super::client::{Failed, Received, UpstreamClient};
use super::{ReservedConnection, Upstream};
use crate::http::{TRACEPARENT, X_REQUEST_ID};
use crate::model::ModelId;
use crate::request::{AnswerPermit, RequestId};

/// A request to the upstream.
pub struct Outgoing {
    /// The upstream.
    pub upstream: Arc<Upstream>,
    /// The connection; or why there is none.
    pub connection: Result<ReservedConnection, Failed>,
    /// `Bearer <shared key>`.
    pub authorization: HeaderValue,
    /// The model.
    pub model: ModelId,
    /// The body, unchanged.
    pub body: Bytes,
    /// The request's id.
    pub id: RequestId,
    /// The call's W3C trace.
    pub traceparent: Option<HeaderValue>,
    /// Room for its answer.
    pub answer_permit: Arc<AnswerPermit>,
}

/// The innermost service of the stack.
#[derive(Clone)]
pub struct Forward {
    client: UpstreamClient,
}

impl Forward {
    /// Sends with this client.
    #[must_use]
    pub const fn new(client: UpstreamClient) -> Self {
        Self { client }
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
        let (bounds, answer_permit) =
            (outgoing.upstream.bounds, Arc::clone(&outgoing.answer_permit));
        match request(outgoing) {
            Ok((connection, request)) => {
                Box::pin(self.client.exchange(connection, request, bounds, answer_permit))
            }
            Err(failed) => Box::pin(std::future::ready(Err(failed))),
        }
    }
}

fn request(outgoing: Outgoing) -> Result<(ReservedConnection, Request<Full<Bytes>>), Failed> {
    let connection = outgoing.connection?;
    let origin = &outgoing.upstream.origin;
    let path = [&origin.prefix, "/v1/", outgoing.model.as_str()].concat();
    let path = PathAndQuery::from_maybe_shared(path)
        .map_err(|error| Failed::Unreachable(error.to_string()))?;
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
    Ok((connection, request))
}
