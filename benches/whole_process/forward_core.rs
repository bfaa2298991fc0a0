//! The gateway's own accept and forward core, and nothing else of it: its listener, its body
//! buffer, its connections to the upstream. No checks, no ledger, no metrics: what is left is what
//! the runtime, hyper and the shape around them cost.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use moongate::http::{AnswerBody, Gathered};
use moongate::live::Live;
use moongate::model::ModelId;
use moongate::permits::Allowance;
use moongate::request::{AnswerPermit, Buffer, Inbound, RequestId, Shares};
use moongate::secret::Secret;
use moongate::server::{self, Discarding, Drain, Server};
use moongate::upstream::forward::Outgoing;
use moongate::upstream::settings::{KeySettings, Protocol};
use moongate::upstream::{self, Forward, Upstream, UpstreamClient, queue};
use tower::{Service, service_fn};

use crate::job::SHARED_KEY;

/// The memory for bodies, as large as the gateway's own default.
const BUFFERED_BYTES_MAX: u64 = 512 << 20;
/// The largest body, as the gateway's own default.
const BODY_BYTES_MAX: u64 = 4_500_000;

/// Serves until it is killed; says its port in the first line of standard output.
pub async fn serve(upstream: SocketAddr) -> io::Result<()> {
    let upstream = Arc::new(Upstream::new(settings(upstream)?, None).map_err(io::Error::other)?);
    let buffer = Buffer::new(BUFFERED_BYTES_MAX, BODY_BYTES_MAX, Live::new(Shares::default()));
    let client = UpstreamClient::new(buffer.clone());
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    let service = service_fn(move |inbound: Inbound<Discarding>| {
        pass_on(inbound, Arc::clone(&upstream), client.clone(), buffer.unpaid())
    });
    let server = Server::new(
        listening(listener.local_addr()?),
        Drain::default(),
        Arc::new(server::observe::Unobserved),
    )?;
    server::serve(listener, service, server).await;
    Ok(())
}

fn pass_on(
    inbound: Inbound<Discarding>,
    upstream: Arc<Upstream>,
    client: UpstreamClient,
    answer_permit: Arc<AnswerPermit>,
) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + Send {
    let (head, body) = inbound.request.into_parts();
    let model = head.uri.path().strip_prefix("/api/v1/").and_then(ModelId::parse);
    async move {
        let (Some(model), Some(body)) = (model, gather(body).await) else {
            return Ok(failed(StatusCode::BAD_REQUEST));
        };
        let Some(key) = upstream.keys.iter().next() else {
            return Ok(failed(StatusCode::INTERNAL_SERVER_ERROR));
        };
        let (authorization, id) = (key.authorization.clone(), RequestId::new());
        let (upstream, traceparent) = (Arc::clone(&upstream), None);
        let connection = client.at_hand_or_connect(&upstream.origin, upstream.bounds).await;
        let outgoing = Outgoing {
            upstream,
            connection,
            authorization,
            model,
            body,
            id,
            traceparent,
            answer_permit,
        };
        let Ok(received) = Forward::new(client).call(outgoing).await else {
            return Ok(failed(StatusCode::BAD_GATEWAY));
        };
        let mut answer =
            Response::new(AnswerBody::new(received.body).holding(Some(received.answer_permit)));
        *answer.status_mut() = received.head.status;
        if let Some(content_type) = received.head.headers.get(http::header::CONTENT_TYPE) {
            answer.headers_mut().insert(http::header::CONTENT_TYPE, content_type.clone());
        }
        Ok(answer)
    }
}

async fn gather(mut body: Discarding) -> Option<Bytes> {
    let mut gathered = Gathered::default();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.ok()?.into_data() {
            gathered.push(data);
        }
    }
    Some(gathered.finish())
}

fn failed(status: StatusCode) -> Response<AnswerBody> {
    let mut answer = Response::new(AnswerBody::default());
    *answer.status_mut() = status;
    answer
}

fn settings(upstream: SocketAddr) -> io::Result<upstream::Settings> {
    Ok(upstream::Settings {
        base_url: format!("http://{upstream}/api").parse().map_err(io::Error::other)?,
        keys: vec![KeySettings {
            name: "primary".to_owned(),
            secret: Secret::new(SHARED_KEY),
            weight: 1,
            limits: Allowance::default(),
        }],
        limits: Allowance::default(),
        queue: queue::Settings {
            max_wait: Duration::from_secs(20),
            length_max: 1000,
            team_length_max: 1000,
        },
        reconcile: None,
        breaker: None,
        protocol: Protocol::Auto,
        ca_file: None,
        connect_timeout: Duration::from_secs(3),
        answer_timeout: Duration::from_secs(300),
        idle_timeout: Duration::from_secs(30),
        answer_bytes_max: 64 << 20,
    })
}

fn listening(address: SocketAddr) -> server::Settings {
    server::Settings {
        address,
        tls: None,
        workers: 1,
        connections_max: 10_000,
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(75),
        read_rate_min: 16 << 10,
        read_window: Duration::from_secs(30),
        body_timeout: Duration::from_secs(30),
        body_bytes_max: BODY_BYTES_MAX,
        header_bytes_max: 64 << 10,
        streams_per_connection_max: 128,
    }
}
