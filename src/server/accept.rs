//! Accept loop of one worker. Takes connections while there is room, and survives every error.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::coop::unconstrained;

use super::calls::{Calls, UNREAD_MAX};
use super::connection::{self, Peer};
use super::unconfirmed::Unconfirmed;
use super::{Discarding, Server};
use crate::http::Deliver;
use crate::request::Inbound;
use crate::step::Under;

/// Pause after an error of `accept`: without a free descriptor, trying again at once would only
/// burn CPU.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Most connections accepted before the open ones get their turn. The kernel drops callers whose
/// connections come while its backlog is full, and they try again only after a second. So a burst
/// is accepted before the first of it are served; Tokio would begin to serve after 128.
const IN_ONE_TURN: usize = 1024;

/// Accepts connections and serves them, until the drain has ended.
pub async fn serve<S, R>(listener: TcpListener, service: S, server: Server)
where
    S: Under<Inbound<Discarding>, Response<R>, Infallible>,
    R: Body<Data = Bytes, Error = Infallible> + Deliver + Send + 'static,
{
    let unconfirmed = Unconfirmed::default();
    let accepting = async {
        loop {
            for _ in 0..IN_ONE_TURN {
                match unconstrained(listener.accept()).await {
                    Ok((stream, peer)) => {
                        begin((stream, peer.ip()), &service, &server, &unconfirmed).await;
                    }
                    Err(error) => {
                        server.places.could_not_accept(&error);
                        tokio::time::sleep(BACK_OFF).await;
                    }
                }
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = accepting => {}
        () = server.drain.ended.cancelled() => {}
    }
}

/// Begins to serve a connection once there is a place for it. Meanwhile the next ones wait in the
/// kernel's backlog and not in our memory.
async fn begin<S, R>(
    (stream, address): (TcpStream, IpAddr),
    service: &S,
    server: &Server,
    unconfirmed: &Unconfirmed,
) where
    S: Under<Inbound<Discarding>, Response<R>, Infallible>,
    R: Body<Data = Bytes, Error = Infallible> + Deliver + Send + 'static,
{
    let (drain, settings) = (server.drain.clone(), Arc::clone(&server.settings));
    let calls = Calls::new(drain, settings, unconfirmed.clone());
    let place = server.places.enter(Arc::clone(&calls)).await;
    let (service, server) = (service.clone(), server.clone());
    let drain = server.drain.clone();
    let too_late = drain.is_refusing();
    let task = async move {
        serve_one(stream, Peer { address, too_late }, service, &calls, &server).await;
        drop(place);
    };
    // Accepted too late, only to be refused: the drain does not wait for it.
    if too_late {
        tokio::spawn(task);
    } else {
        drain.open.spawn(task);
    }
}

async fn serve_one<S, R>(
    stream: TcpStream,
    peer: Peer,
    service: S,
    calls: &Arc<Calls>,
    server: &Server,
) where
    S: Under<Inbound<Discarding>, Response<R>, Infallible>,
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

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use super::*;
    use crate::http::AnswerBody;
    use crate::server::observe::Unobserved;
    use crate::server::{Drain, Settings, listen};

    #[tokio::test]
    async fn a_burst_of_callers_is_accepted_before_any_is_served() {
        let listener = listen::bind_one("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let address = listener.local_addr().unwrap();
        let callers: Vec<_> =
            (0..300).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let server =
            Server::new(Settings::example(), Drain::default(), Arc::new(Unobserved)).unwrap();
        let open = server.drain.open.clone();
        let service = tower::service_fn(|_: Inbound<Discarding>| async {
            Ok::<_, Infallible>(Response::new(AnswerBody::default()))
        });
        let mut accepting = pin!(serve(listener, service, server));
        let accepted = std::future::poll_fn(|context| {
            assert!(accepting.as_mut().poll(context).is_pending());
            if open.is_empty() { Poll::Pending } else { Poll::Ready(open.len()) }
        });
        assert_eq!(accepted.await, callers.len());
    }
}
