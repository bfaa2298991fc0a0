//! A collector of traces in this process: decodes OTLP over HTTP, answers what the test sets, and
//! keeps what it was sent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::authority::Authority;

/// How it answers one request; without a word it takes everything.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// Answers with this status.
    Status(u16),
    /// Answers with this status, and when to come again.
    Later(u16, &'static str),
    /// Takes all but so many spans.
    Without(i64),
    /// Never answers.
    Never,
}

/// What it was sent in one request.
#[derive(Clone, Debug)]
pub struct Export {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Export {
    /// The message. Panics where it is none.
    pub fn message(&self) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest::decode(self.body.clone()).expect("OTLP")
    }

    fn spans(&self) -> impl Iterator<Item = Span> {
        let resources = self.message().resource_spans.into_iter();
        resources.flat_map(|of| of.scope_spans).flat_map(|of| of.spans)
    }
}

/// A running collector; it ends with the value.
pub struct Collector {
    endpoint: String,
    received: Received,
    task: JoinHandle<()>,
}

impl Collector {
    /// Starts one that answers in this order first.
    pub async fn start(script: &[Answer]) -> Self {
        Self::behind(None, script).await
    }

    /// Starts one that speaks TLS, with a certificate of this authority.
    pub async fn secure(authority: &Authority) -> Self {
        Self::behind(Some(authority.acceptor()), &[]).await
    }

    async fn behind(tls: Option<TlsAcceptor>, script: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(script.iter().copied().collect::<VecDeque<_>>()));
        let received = Received::default();
        let kept = Arc::clone(&received);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, script, kept) = (tls.clone(), Arc::clone(&script), Arc::clone(&kept));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, script, kept).await,
                        // One that does not trust the certificate comes no further.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, script, kept).await;
                            }
                        }
                    }
                });
            }
        });
        Self { endpoint, received, task }
    }

    /// The address, as a gateway is configured with it.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Everything it was sent, in order.
    pub fn received(&self) -> Vec<Export> {
        self.received.lock().unwrap().clone()
    }

    /// All spans it was sent.
    pub fn spans(&self) -> Vec<Span> {
        self.received().iter().flat_map(Export::spans).collect()
    }

    /// The spans of one trace, by its id in hexadecimal digits.
    pub fn trace(&self, id: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| hex::encode(&span.trace_id) == id).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Attributes as a JSON object.
pub fn attributes(attributes: &[KeyValue]) -> Value {
    let pairs = attributes.iter().map(|attribute| {
        let value = attribute.value.clone().and_then(|value| value.value);
        let value = match value.expect("a value") {
            Any::StringValue(text) => json!(text),
            Any::IntValue(number) => json!(number),
            Any::BoolValue(_)
            | Any::DoubleValue(_)
            | Any::ArrayValue(_)
            | Any::KvlistValue(_)
            | Any::BytesValue(_)
            | Any::StringValueStrindex(_) => panic!("a type that no attribute has"),
        };
        (attribute.key.clone(), value)
    });
    Value::Object(pairs.collect())
}

type Script = Arc<Mutex<VecDeque<Answer>>>;
type Received = Arc<Mutex<Vec<Export>>>;

async fn serve<S>(stream: S, script: Script, received: Received)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| answer(request, Arc::clone(&script), Arc::clone(&received)));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    script: Script,
    kept: Received,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let (method, path, headers) = (head.method, head.uri.path().to_owned(), head.headers);
    kept.lock().unwrap().push(Export { method, path, headers, body });
    let next = script.lock().unwrap().pop_front().unwrap_or(Answer::Without(0));
    let (status, retry_after, rejected_spans) = match next {
        Answer::Status(status) => (status, None, 0),
        Answer::Later(status, when) => (status, Some(when), 0),
        Answer::Without(rejected) => (200, None, rejected),
        Answer::Never => std::future::pending().await,
    };
    let partial_success = (rejected_spans > 0).then(|| ExportTracePartialSuccess {
        rejected_spans,
        ..ExportTracePartialSuccess::default()
    });
    let body = ExportTraceServiceResponse { partial_success }.encode_to_vec();
    let mut answer = Response::builder().status(status);
    if let Some(when) = retry_after {
        answer = answer.header("retry-after", when);
    }
    Ok(answer.header("content-type", "application/x-protobuf").body(Full::from(body)).unwrap())
}
