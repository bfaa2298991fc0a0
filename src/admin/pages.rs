//! What the operator's listener answers, path by path.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header, request};

use super::token::operator;
use super::{Readiness, Token};
use crate::clock::Clock;
use crate::http::{Answer, AnswerBody, X_REQUEST_ID};
use crate::live::Live;
use crate::refusal::{Refusal, body};
use crate::request::RequestId;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::CONTENT_TYPE;

const JSON: &str = "application/json";
/// RFC 9512.
const YAML: &str = "application/yaml";

/// What the operator's listener serves. Clones serve the same.
#[derive(Clone)]
pub struct Operator {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    shown: Live<Shown>,
    clock: Clock,
}

/// What a reload replaces of it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Who may see what is under `/admin`. Nobody, while there are none: then there is no such path.
    pub tokens: Vec<Token>,
    /// The effective configuration as YAML, secrets blanked.
    pub configuration: String,
}

impl Operator {
    /// Serves these.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, readiness: Readiness, shown: Live<Shown>) -> Self {
        Self { metrics, readiness, shown, clock: Clock::system() }
    }

    /// Answers one request, whatever it is.
    pub async fn answer(&self, request: request::Parts) -> Answer {
        let id = RequestId::accept(request.headers.get(X_REQUEST_ID));
        let found = self.find(&request).await;
        let mut answer = found.unwrap_or_else(|refusal| body::answer(&refusal, &id, request.version, self.clock.now()));
        answer.headers_mut().insert(X_REQUEST_ID, id.to_header());
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }

    async fn find(&self, request: &request::Parts) -> Result<Answer, Refusal> {
        let path = request.uri.path();
        if path == "/admin" || path.starts_with("/admin/") {
            self.admit(request)?;
        }
        match path {
            "/livez" => read(request).map(|()| page(StatusCode::OK, JSON, "{\"alive\":true}")),
            "/readyz" => read(request).and_then(|()| self.readyz()),
            "/metrics" => {
                read(request)?;
                self.metrics().await
            }
            "/admin/v1/config" => {
                read(request).map(|()| page(StatusCode::OK, YAML, self.shown.read().configuration.clone()))
            }
            _ => Err(Refusal::RouteNotFound),
        }
    }

    /// Before anything is told about a path under `/admin`, even whether there is one.
    fn admit(&self, request: &request::Parts) -> Result<(), Refusal> {
        let shown = self.shown.read();
        if shown.tokens.is_empty() {
            return Err(Refusal::RouteNotFound);
        }
        operator(&request.headers, &shown.tokens).map(|_| ())
    }

    fn readyz(&self) -> Result<Answer, Refusal> {
        let report = self.readiness.report();
        let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = serde_json::to_vec(&report).map_err(|_| Refusal::Internal)?;
        Ok(page(status, JSON, body))
    }

    /// Off this thread: thousands of series take milliseconds, and a probe must not wait for them.
    async fn metrics(&self) -> Result<Answer, Refusal> {
        let metrics = Arc::clone(&self.metrics);
        let rendered = tokio::task::spawn_blocking(move || metrics.render()).await;
        rendered.map(|text| page(StatusCode::OK, CONTENT_TYPE, text)).map_err(|_| Refusal::Internal)
    }
}

fn read(request: &request::Parts) -> Result<(), Refusal> {
    let reads = [Method::GET, Method::HEAD].contains(&request.method);
    if reads { Ok(()) } else { Err(Refusal::MethodNotAllowed { allow: "GET, HEAD" }) }
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<bytes::Bytes>) -> Answer {
    let mut answer = Answer::new(AnswerBody::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
