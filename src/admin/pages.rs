//! What the operator's listener answers, path by path.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header, request};
use http_body::Body;

use super::call::{json, page};
use super::{Api, Readiness, host};
use crate::clock::Clock;
use crate::http::{Answer, X_REQUEST_ID};
use crate::refusal::{Refusal, body};
use crate::request::RequestId;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::CONTENT_TYPE;

/// What the operator's listener serves. Clones serve the same.
#[derive(Clone)]
pub struct Operator {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    api: Api,
    /// Where it listens, when that decides by which names it is called.
    address: Option<SocketAddr>,
    clock: Clock,
}

impl Operator {
    /// Serves these.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, readiness: Readiness, api: Api) -> Self {
        Self { metrics, readiness, api, address: None, clock: Clock::system() }
    }

    /// The same, listening here: on loopback it answers to the names of this machine and those of the configuration
    /// only.
    #[must_use]
    pub fn listening_on(self, address: SocketAddr) -> Self {
        Self { address: Some(address), ..self }
    }

    /// Answers one request, whatever it is and from wherever it comes.
    pub async fn answer<B>(&self, request: Request<B>, from: IpAddr) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<tower::BoxError>>,
    {
        let (id, version) = (RequestId::accept(request.headers().get(X_REQUEST_ID)), request.version());
        let found = self.find(request, &id, from).await;
        let mut answer = found.unwrap_or_else(|refusal| body::answer(&refusal, id.as_str(), version, self.clock.now()));
        answer.headers_mut().insert(X_REQUEST_ID, id.to_header());
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }

    async fn find<B>(&self, request: Request<B>, id: &RequestId, from: IpAddr) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes, Error: Into<tower::BoxError>>,
    {
        if let Some(address) = self.address {
            host::check(address, request.uri(), request.headers(), &self.api.hosts())?;
        }
        let path = request.uri().path();
        if path == "/admin" || path.starts_with("/admin/") {
            return self.api.answer(request, id, from).await;
        }
        let (head, _) = request.into_parts();
        match head.uri.path() {
            "/livez" => read(&head).map(|()| page(StatusCode::OK, "application/json", "{\"alive\":true}")),
            "/readyz" => read(&head).and_then(|()| self.readyz()),
            "/metrics" => {
                read(&head)?;
                self.metrics().await
            }
            _ => Err(Refusal::RouteNotFound),
        }
    }

    fn readyz(&self) -> Result<Answer, Refusal> {
        let report = self.readiness.report();
        json(if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &report)
    }

    /// Off this thread: thousands of series take milliseconds, and a probe must not wait for them.
    async fn metrics(&self) -> Result<Answer, Refusal> {
        let metrics = Arc::clone(&self.metrics);
        let rendered = tokio::task::spawn_blocking(move || metrics.render()).await;
        rendered.map(|text| page(StatusCode::OK, CONTENT_TYPE, text)).map_err(|_| Refusal::Internal)
    }
}

fn read(head: &request::Parts) -> Result<(), Refusal> {
    let reads = [Method::GET, Method::HEAD].contains(&head.method);
    if reads { Ok(()) } else { Err(Refusal::MethodNotAllowed { allow: "GET, HEAD" }) }
}
