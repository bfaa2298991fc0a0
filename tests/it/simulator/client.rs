//! A simulator on free ports, and the smallest client that can see all it does.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use moongate::clock::Clock;
use moongate::simulator::{self, Latency, Settings, Simulator};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const KEY: &str = "test_key_12345";
pub(crate) const DEMO: &str = "demo_key_67890";
pub(crate) const CAT: &str = r#"{"prompt":"a cat"}"#;

/// A running simulator; it ends with the value.
pub(crate) struct Running {
    pub(crate) api: String,
    pub(crate) clock: Clock,
    _end: DropGuard,
}

/// Settings at once, with a clock that stands still in the middle of a minute.
pub(crate) fn settings() -> Settings {
    Settings {
        latency: Some(Latency::fixed(Duration::ZERO)),
        clock: Clock::moved("2025-10-23T10:29:15Z".parse().unwrap()),
        ..Settings::default()
    }
}

pub(crate) async fn start(settings: Settings) -> Running {
    let (api, media) = (
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let address = api.local_addr().unwrap().to_string();
    let clock = settings.clock.clone();
    let shutdown = CancellationToken::new();
    tokio::spawn(simulator::serve(Simulator::new(settings), api, media, shutdown.clone()));
    Running { api: address, clock, _end: shutdown.drop_guard() }
}

/// An answer as far as it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body came to its announced end.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    async fn read(answer: Response<hyper::body::Incoming>) -> Self {
        let (parts, mut body) = answer.into_parts();
        let (mut bytes, mut whole) = (Vec::new(), true);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap()),
                Err(_) => {
                    whole = false;
                    break;
                }
            }
        }
        Self { status: parts.status.as_u16(), headers: parts.headers, body: bytes.into(), whole }
    }
}

/// A request to an address, with `Host`.
pub(crate) fn request(
    address: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header("host", address);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

/// One request on a connection of its own; the error is that no answer's head came.
pub(crate) async fn exchange(
    address: &str,
    request: Request<Full<Bytes>>,
) -> Result<Answer, hyper::Error> {
    let stream = TcpStream::connect(address).await.unwrap();
    // The largest header that a test asks for must fit.
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(1 << 20)
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(connection);
    Ok(Answer::read(sender.send_request(request).await?).await)
}

/// The same by HTTP/2 with prior knowledge.
pub(crate) async fn exchange_http2(
    address: &str,
    request: Request<Full<Bytes>>,
) -> Result<Answer, hyper::Error> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    parts.uri = format!("http://{address}{}", parts.uri).parse().unwrap();
    parts.headers.remove("host");
    Ok(Answer::read(sender.send_request(Request::from_parts(parts, body)).await?).await)
}

impl Running {
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        exchange(&self.api, request(&self.api, method, path, headers, body)).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], "").await
    }

    pub(crate) async fn get_with(&self, key: &str, path: &str) -> Answer {
        self.call(Method::GET, path, &[("authorization", &format!("Bearer {key}"))], "").await
    }

    pub(crate) async fn generate_with(&self, key: &str, model: &str, body: &str) -> Answer {
        self.call(
            Method::POST,
            &format!("/api/v1/{model}"),
            &[("authorization", &format!("Bearer {key}"))],
            body,
        )
        .await
    }

    pub(crate) async fn generate(&self, model: &str, body: &str) -> Answer {
        self.generate_with(KEY, model, body).await
    }

    /// A generation by `flux/dev` that meets a fault.
    pub(crate) async fn spoilt(&self, fault: &str) -> Result<Answer, hyper::Error> {
        let key = format!("Bearer {KEY}");
        let headers = [("authorization", key.as_str()), ("x-simulator-fault", fault)];
        exchange(&self.api, request(&self.api, Method::POST, "/api/v1/flux/dev", &headers, CAT))
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> Answer {
        self.call(Method::PUT, path, &[], body).await
    }

    pub(crate) async fn books(&self) -> Value {
        self.get("/_simulator/books").await.json()
    }

    pub(crate) async fn balance(&self) -> Value {
        self.books().await["balances"]["test"].clone()
    }

    /// Fetches a media address, with no credential.
    pub(crate) async fn fetch(&self, url: &Value) -> Answer {
        let url: http::Uri = url.as_str().unwrap().parse().unwrap();
        let address = url.authority().unwrap().as_str();
        exchange(address, request(address, Method::GET, url.path(), &[], "")).await.unwrap()
    }

    /// Waits until the books show what is wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            let books = self.get("/_simulator/books?calls=0").await.json();
            if wanted(&books) {
                return books;
            }
            assert!(tokio::time::Instant::now() < deadline, "not within a minute: {what}: {books}");
            tokio::task::yield_now().await;
        }
    }
}
