//! An issuer's web server on this machine: answers what the test sets, and counts requests.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What is answered at a path.
#[derive(Clone)]
pub enum Answer {
    /// 200 with this body.
    Ok(Bytes),
    /// Another status, with headers and a body.
    Other(u16, &'static [(&'static str, &'static str)], Bytes),
    /// Never answers.
    Silence,
}

/// A server that stops when it is dropped.
pub struct IssuerServer {
    pub address: SocketAddr,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    requested: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl IssuerServer {
    /// Starts a server that answers 404 everywhere.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let address = listener.local_addr().expect("address");
        let answers = Arc::new(Mutex::new(HashMap::new()));
        let requested = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(serve(listener, Arc::clone(&answers), Arc::clone(&requested)));
        Self { address, answers, requested, task }
    }

    /// The URL of a path here.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sets what is answered at a path from now on.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.answers.lock().expect("lock").insert(path.to_owned(), answer);
    }

    /// Publishes this key set at `/jwks`.
    pub fn publish(&self, key_set: &str) {
        self.answer("/jwks", Answer::Ok(key_set.to_owned().into()));
    }

    /// How many requests came.
    pub fn requested(&self) -> usize {
        self.requested.load(Ordering::SeqCst)
    }
}

impl Drop for IssuerServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    requested: Arc<AtomicUsize>,
) {
    loop {
        let (stream, _) = listener.accept().await.expect("connection");
        let (answers, requested) = (Arc::clone(&answers), Arc::clone(&requested));
        let service = service_fn(move |request: Request<Incoming>| {
            requested.fetch_add(1, Ordering::SeqCst);
            let answer = answers.lock().expect("lock").get(request.uri().path()).cloned();
            respond(answer)
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn respond(answer: Option<Answer>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, headers, body): (u16, &[(&str, &str)], Bytes) = match answer {
        Some(Answer::Ok(body)) => (200, &[], body),
        Some(Answer::Other(status, headers, body)) => (status, headers, body),
        Some(Answer::Silence) => std::future::pending().await,
        None => (404, &[], Bytes::new()),
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Ok(response.body(Full::new(body)).expect("response"))
}
