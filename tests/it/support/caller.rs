//! A caller that checks every answer: it may have only documented headers, and must not contain the
//! shared key.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;

use super::redis::PATIENCE;
use super::shared_key::SHARED_KEY;

/// The only headers that may leave a gateway.
pub const HEADERS: [&str; 38] = [
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "age",
    "allow",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "date",
    "etag",
    "idempotency-replayed",
    "permissions-policy",
    "ratelimit",
    "ratelimit-policy",
    "referrer-policy",
    "retry-after",
    "server-timing",
    "transfer-encoding",
    "vary",
    "www-authenticate",
    "x-content-type-options",
    "x-frame-options",
    "x-call-id",
    "x-credits-cost",
    "x-credits-cost-original",
    "x-credits-remaining",
    "x-error-source",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-request-id",
];

/// A request, not sent yet.
#[derive(Clone)]
pub struct Call {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// A generation.
pub fn generate(model: &str, body: &Value) -> Call {
    Call::post(&format!("/api/v1/{model}")).json(body)
}

impl Call {
    pub fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    pub fn put(path: &str) -> Self {
        Self::new(Method::PUT, path)
    }

    /// Adds a team's credential.
    pub fn with(self, credential: &str) -> Self {
        self.header("authorization", &format!("Bearer {credential}"))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.text(&body.to_string())
    }

    /// A body that says it is JSON, whether it is or not.
    pub fn text(mut self, body: &str) -> Self {
        self.body = Bytes::from(body.to_owned());
        self.header("content-type", "application/json")
    }

    /// Any body, with no content type.
    pub fn bytes(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it to a gateway on a connection of its own.
    pub async fn send(&self, address: &str) -> Reply {
        Connection::open(address).await.send(self).await
    }

    /// Sends it to something that is no gateway's team listener.
    pub async fn send_uninspected(&self, address: &str) -> Reply {
        Connection::open(address).await.exchange(self).await.expect("an answer")
    }

    fn request(&self, address: &str) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(&self.method).uri(&self.path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", address);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body.clone())).unwrap()
    }
}

/// A connection that stays open.
pub struct Connection {
    address: String,
    sender: Sender,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    pub async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { address: address.to_owned(), sender: Sender::Http1(sender) }
    }

    pub async fn open_http2(address: &str) -> Self {
        Self::open_http2_with(address, &http2::Builder::new(TokioExecutor::new())).await
    }

    /// One on which an answer that is not read comes no further than its first few bytes.
    pub async fn open_narrow_http2(address: &str) -> Self {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(16 * 1024)
            .initial_connection_window_size(4 * 1024 * 1024);
        Self::open_http2_with(address, &builder).await
    }

    /// One on which an answer that is not read comes no further than its first byte, however small
    /// it is.
    pub async fn open_strait_http2(address: &str) -> Self {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(1);
        Self::open_http2_with(address, &builder).await
    }

    async fn open_http2_with(address: &str, builder: &http2::Builder<TokioExecutor>) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { address: address.to_owned(), sender: Sender::Http2(sender) }
    }

    /// The same connection once more, for a call beside the others; HTTP/2 only.
    pub fn beside(&self) -> Self {
        let Sender::Http2(sender) = &self.sender else {
            panic!("an HTTP/1 connection carries one call at a time")
        };
        Self { address: self.address.clone(), sender: Sender::Http2(sender.clone()) }
    }

    /// Sends a call to a gateway and looks closely at the answer.
    pub async fn send(&mut self, call: &Call) -> Reply {
        let reply = self.exchange(call).await.unwrap_or_else(|error| panic!("no answer: {error}"));
        reply.inspect(call.method == Method::HEAD);
        reply
    }

    /// Sends a call and waits for the head of its answer, whose body is left unread.
    pub async fn begin(&mut self, call: &Call) -> Result<Response<Incoming>, hyper::Error> {
        let mut request = call.request(&self.address);
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                request.headers_mut().remove("host");
                *request.uri_mut() =
                    format!("http://{}{}", self.address, call.path).parse().unwrap();
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Sends a call; the error is that no whole answer came.
    pub async fn exchange(&mut self, call: &Call) -> Result<Reply, hyper::Error> {
        let answer = async { Reply::read(self.begin(call).await?).await };
        tokio::time::timeout(PATIENCE, answer).await.expect("an answer within three minutes")
    }
}

/// A whole answer.
pub struct Reply {
    pub status: u16,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    async fn read(response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Self {
            status: head.status.as_u16(),
            version: head.version,
            headers: head.headers,
            body,
        })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A header that is a whole number.
    pub fn number(&self, name: &str) -> i64 {
        let text = self.header(name).unwrap_or_else(|| panic!("no {name}: {:?}", self.headers));
        text.parse().unwrap_or_else(|_| panic!("{name} is {text}"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The status and the code of a refusal.
    pub fn refusal(&self) -> (u16, String) {
        (
            self.status,
            self.json()["code"]
                .as_str()
                .unwrap_or_else(|| panic!("no code: {}", self.text()))
                .to_owned(),
        )
    }

    /// Fails when anything about the answer is not as every answer must be.
    pub fn inspect(&self, to_head: bool) {
        let wrong =
            |what: &str| panic!("{what}: {} {:?} {}", self.status, self.headers, self.text());
        for (name, value) in &self.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            if !HEADERS.contains(&name.as_str()) || value.contains(SHARED_KEY) {
                wrong(&format!("{name}: {value} must not leave the gateway"));
            }
        }
        if self.body.windows(SHARED_KEY.len()).any(|part| part == SHARED_KEY.as_bytes()) {
            wrong("the shared key is in the body");
        }
        if self.header("x-request-id").is_none() {
            wrong("an answer has no name");
        }
        let limit_is_told = self.headers.contains_key("x-ratelimit-limit");
        if limit_is_told != self.headers.contains_key("ratelimit") {
            wrong("the two forms of the rate limit do not go together");
        }
        if self.status >= 400 && !to_head {
            self.inspect_error(&wrong);
        }
    }

    /// Firemoon's clients print an error only when it is one flat object of texts.
    fn inspect_error(&self, wrong: &dyn Fn(&str)) {
        let Some(source) = self.header("x-error-source") else {
            return wrong("nobody is named as the source");
        };
        if !["caller", "policy", "gateway", "upstream"].contains(&source) {
            wrong("an unknown source");
        }
        if self.header("content-type") != Some("application/json") {
            wrong("an error is not JSON");
        }
        let body = self.json();
        if !body["error"].is_string() || !body["message"].is_string() {
            wrong("an error has no words");
        }
        // The upstream's own errors are passed on as they are.
        if body["code"].is_null() && source == "upstream" {
            return;
        }
        if !body["code"].is_string() || body["requestId"].as_str() != self.header("x-request-id") {
            wrong("a refusal is not named");
        }
        let known = ["error", "message", "errors", "resetAt", "code", "requestId"];
        if body.as_object().unwrap().keys().any(|key| !known.contains(&key.as_str())) {
            wrong("a refusal has more members than documented");
        }
        let status = StatusCode::from_u16(self.status).unwrap();
        if status == StatusCode::TOO_MANY_REQUESTS
            && self.headers.contains_key("retry-after")
            && body["resetAt"].is_null()
        {
            wrong("Retry-After without resetAt");
        }
    }
}
