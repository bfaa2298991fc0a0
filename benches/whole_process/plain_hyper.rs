//! A proxy that only forwards: hyper's server and hyper-util's pooled client as they come, no
//! checks. What is to be beaten.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use http::header::AUTHORIZATION;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpSocket;

use crate::job::SHARED_KEY;

/// Serves until it is killed; says its port in the first line of standard output.
pub async fn serve(upstream: SocketAddr) -> io::Result<()> {
    let authority: Authority = upstream.to_string().parse().map_err(io::Error::other)?;
    let credential =
        HeaderValue::try_from(format!("Bearer {SHARED_KEY}")).map_err(io::Error::other)?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> =
        Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);

    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(4096)?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, authority, credential) =
            (client.clone(), authority.clone(), credential.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let mut parts = std::mem::take(request.uri_mut()).into_parts();
            (parts.scheme, parts.authority) = (Some(Scheme::HTTP), Some(authority.clone()));
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
            request.headers_mut().insert(AUTHORIZATION, credential.clone());
            client.request(request)
        });
        tokio::spawn(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}
