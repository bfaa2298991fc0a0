//! The accept loop of one worker: takes connections as long as there is room, and survives every error.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::Service;

use super::connection::{self, Peer};
use super::{Drain, Settings, tls};
use crate::request::Inbound;

/// What the accept loops of all workers share.
#[derive(Clone)]
pub struct Server {
    /// The bounds of connections.
    pub settings: Arc<Settings>,
    /// Set when the listener speaks TLS.
    pub tls: Option<TlsAcceptor>,
    /// How it stops.
    pub drain: Drain,
    room: Arc<Semaphore>,
}

impl Server {
    /// A server that has not accepted anybody yet.
    ///
    /// # Errors
    /// The certificate cannot be loaded.
    pub fn new(settings: Settings, drain: Drain) -> io::Result<Self> {
        let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
        let room = Arc::new(Semaphore::new(settings.connections_max.min(Semaphore::MAX_PERMITS)));
        Ok(Self { settings: Arc::new(settings), tls, drain, room })
    }
}

/// How long to wait after an error of `accept`: with every descriptor taken, trying at once would only burn the processor.
const BACK_OFF: Duration = Duration::from_millis(50);

/// How long a peer may leave what was sent to it unacknowledged, or its window closed, before the connection is given up.
pub(super) const UNREAD_MAX: Duration = Duration::from_secs(60);

/// Accepts connections and serves them, until the drain has ended.
pub async fn serve<S, R>(listener: TcpListener, service: S, server: Server)
where
    S: Service<Inbound<Incoming>, Response = Response<R>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    R: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let accepting = async {
        loop {
            // Room first: what there is no room for waits in the kernel's queue, not in our memory.
            let Ok(room) = Arc::clone(&server.room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let (service, server) = (service.clone(), server.clone());
                    let drain = server.drain.clone();
                    let too_late = drain.is_refusing();
                    let task = async move {
                        serve_one(stream, Peer { address: peer.ip(), too_late }, service, &server).await;
                        drop(room);
                    };
                    // A connection made too late is answered with a refusal; nobody waits for it.
                    if too_late {
                        tokio::spawn(task);
                    } else {
                        drain.open.spawn(task);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = server.drain.ended.cancelled() => {}
    }
}

async fn serve_one<S, R>(stream: TcpStream, peer: Peer, service: S, server: &Server)
where
    S: Service<Inbound<Incoming>, Response = Response<R>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    R: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let tuned =
        stream.set_nodelay(true).and_then(|()| socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD_MAX)));
    if let Err(error) = tuned {
        tracing::debug!(%error, "a connection was gone before it was served");
        return;
    }
    connection::serve(stream, peer, service, server).await;
}
