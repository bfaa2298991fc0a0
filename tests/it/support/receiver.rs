//! A webhook's receiver in this process: answers what the test sets, and keeps what it was sent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How it answers one request; without a word it says 200.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// Answers with this status.
    Status(u16),
    /// Never answers.
    Never,
}

/// A running receiver; it ends with the value.
pub struct Receiver {
    port: u16,
    script: Arc<Mutex<VecDeque<Answer>>>,
    received: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Starts one that answers in this order first.
    pub async fn start(script: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Mutex::new(script.iter().copied().collect::<VecDeque<_>>()));
        let received: Arc<Mutex<Vec<(HeaderMap, Value)>>> = Arc::default();
        let (answers, kept) = (Arc::clone(&script), Arc::clone(&received));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, kept) = (Arc::clone(&answers), Arc::clone(&kept));
                let service = service_fn(move |request| {
                    answer(request, Arc::clone(&answers), Arc::clone(&kept))
                });
                tokio::spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { port, script, received, task }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Answers in this order from now on.
    pub fn script(&self, script: &[Answer]) {
        *self.script.lock().unwrap() = script.iter().copied().collect();
    }

    /// Everything it was sent, in order.
    pub fn received(&self) -> Vec<(HeaderMap, Value)> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    request: Request<Incoming>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    kept: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    kept.lock().unwrap().push((head.headers, serde_json::from_slice(&body).unwrap_or_default()));
    let next = answers.lock().unwrap().pop_front().unwrap_or(Answer::Status(200));
    match next {
        Answer::Status(status) => {
            let answer = Response::builder()
                .status(status)
                .header("location", "http://127.0.0.1:1/elsewhere");
            Ok(answer.body(Full::default()).unwrap())
        }
        Answer::Never => std::future::pending().await,
    }
}
