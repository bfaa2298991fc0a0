//! Accept loop of one worker. Takes connections while there is room, and survives every error.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tokio::net::{TcpListener, TcpStream};
use tower::Service;

use super::calls::{Calls, UNREAD_MAX};
use super::connection::{self, Peer};
use super::unconfirmed::Unconfirmed;
use super::{Discarding, Server};
use crate::http::Deliver;
use crate::request::Inbound;

/// Pause after an error of `accept`: without a free descriptor, trying again at once would only
/// burn CPU.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Accepts connections and serves them, until the drain has ended.
pub async fn serve<S, R>(listener: TcpListener, service: S, server: Server)
where
    S: Service<Inbound<Discarding>, Response = Response<R>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    R: Body<Data = Bytes, Error = Infallible> + Deliver + Send + 'static,
{
    let unconfirmed = Unconfirmed::default();
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let (drain, settings) = (server.drain.clone(), Arc::clone(&server.settings));
                    let calls = Calls::new(drain, settings, unconfirmed.clone());
                    // While this one waits for a place, the next ones wait in the kernel's backlog
                    // and not in our memory.
                    let place = server.places.enter(Arc::clone(&calls)).await;
                    let (service, server) = (service.clone(), server.clone());
                    let drain = server.drain.clone();
                    let too_late = drain.is_refusing();
                    let task = async move {
                        serve_one(
                            stream,
                            Peer { address: peer.ip(), too_late },
                            service,
                            &calls,
                            &server,
                        )
                        .await;
                        drop(place);
                    };
                    // Accepted too late, only to be refused: the drain does not wait for it.
                    if too_late {
                        tokio::spawn(task);
                    } else {
                        drain.open.spawn(task);
                    }
                }
                Err(error) => {
                    server.places.could_not_accept(&error);
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

async fn serve_one<S, R>(
    stream: TcpStream,
    peer: Peer,
    service: S,
    calls: &Arc<Calls>,
    server: &Server,
) where
    S: Service<Inbound<Discarding>, Response = Response<R>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    R: Body<Data = Bytes, Error = Infallible> + Deliver + Send + 'static,
{
    let tuned = stream
        .set_nodelay(true)
        .and_then(|()| socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD_MAX)));
    if let Err(error) = tuned {
        tracing::debug!(%error, "a connection was gone before it was served");
        return;
    }
    connection::serve(stream, peer, service, calls, server).await;
}
