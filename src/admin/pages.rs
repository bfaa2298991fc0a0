//! Paths of the operator's listener.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header, request};
use http_body::Body;

use super::call::{json, page};
use super::{Api, Readiness, host, scrape};
use crate::clock::Clock;
use crate::http::{Answer, X_REQUEST_ID};
use crate::pages::Console;
use crate::refusal::{Refusal, body};
use crate::request::RequestId;
use crate::telemetry::Metrics;

/// The operator's listener. Clones share state.
#[derive(Clone)]
pub struct Operator {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    api: Api,
    console: Console,
    /// The address, if host names are checked by it.
    address: Option<SocketAddr>,
    clock: Clock,
}

impl Operator {
    /// Serves these.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, readiness: Readiness, api: Api) -> Self {
        Self {
            metrics,
            readiness,
            api,
            console: Console::default(),
            address: None,
            clock: Clock::system(),
        }
    }

    /// The same for a listener at this address: on loopback it accepts only names of this machine
    /// and those in the configuration.
    #[must_use]
    pub fn listening_on(self, address: SocketAddr) -> Self {
        Self { address: Some(address), ..self }
    }

    /// Answers any request.
    pub async fn answer<B>(&self, request: Request<B>, from: IpAddr) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<tower::BoxError>>,
    {
        let (id, version) =
            (RequestId::accept(request.headers().get(X_REQUEST_ID)), request.version());
        let found = self.find(request, &id, from).await;
        let mut answer = found.unwrap_or_else(|refusal| {
            body::answer(&refusal, id.as_str(), version, self.clock.now())
        });
        answer.headers_mut().insert(X_REQUEST_ID, id.to_header());
        // Files of the console have their own `Cache-Control`.
        answer
            .headers_mut()
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        answer
            .headers_mut()
            .insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }

    async fn find<B>(
        &self,
        request: Request<B>,
        id: &RequestId,
        from: IpAddr,
    ) -> Result<Answer, Refusal>
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
            "/livez" => {
                read(&head).map(|()| page(StatusCode::OK, "application/json", "{\"alive\":true}"))
            }
            "/readyz" => read(&head).and_then(|()| self.readyz()),
            "/metrics" => {
                read(&head)?;
                self.metrics(head.headers).await
            }
            path if Console::has(path) => {
                // Operators are needed for the console, as for the API.
                self.api.is_there()?;
                read(&head)?;
                self.console.answer(path, &host_of(&head), &head.headers)
            }
            _ => Err(Refusal::RouteNotFound),
        }
    }

    fn readyz(&self) -> Result<Answer, Refusal> {
        let report = self.readiness.report();
        json(if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &report)
    }

    /// Rendered on another thread: thousands of series take milliseconds, and a probe must not wait
    /// for them.
    async fn metrics(&self, headers: HeaderMap) -> Result<Answer, Refusal> {
        let metrics = Arc::clone(&self.metrics);
        let scraped = tokio::task::spawn_blocking(move || scrape::answer(&metrics, &headers));
        scraped.await.map_err(|_| Refusal::Internal)
    }
}

/// The name by which the listener was called, without its port.
fn host_of(head: &request::Parts) -> String {
    let named = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse().ok());
    let authority: Option<Authority> = head.uri.authority().cloned().or(named);
    authority.map(|authority| authority.host().to_ascii_lowercase()).unwrap_or_default()
}

fn read(head: &request::Parts) -> Result<(), Refusal> {
    let reads = [Method::GET, Method::HEAD].contains(&head.method);
    if reads { Ok(()) } else { Err(Refusal::MethodNotAllowed { allow: "GET, HEAD" }) }
}
