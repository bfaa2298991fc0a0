//! Connects to the upstream's host. All its addresses are tried, and a dead one does not delay the
//! others.
//!
//! hyper-util's connector will not do: it races only the two families, and tries the addresses of
//! one family in sequence, each for its share of the timeout. With one of two addresses silent,
//! every new connection would take half of the timeout; here it takes [`HEAD_START`].

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};

/// How long one address is tried alone before the next is tried as well (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Resolves the name and connects to the first address that answers.
///
/// # Errors
/// The name is unknown, or no address answers: the last error.
pub(super) async fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    first_of(interleaved(lookup_host((host, port)).await?)).await
}

async fn first_of(mut addresses: VecDeque<SocketAddr>) -> io::Result<TcpStream> {
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match addresses.pop_front() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        tokio::select! {
            Some(outcome) = attempts.next() => match outcome {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            },
            () = tokio::time::sleep(HEAD_START), if !addresses.is_empty() => {}
        }
    }
}

/// Addresses in the resolver's order with alternating families (RFC 8305, section 4), so that a
/// broken family costs one wait.
fn interleaved(addresses: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let (mut first, mut second) = (VecDeque::new(), VecDeque::new());
    let mut first_is_v6 = None;
    for address in addresses {
        let queue = if *first_is_v6.get_or_insert(address.is_ipv6()) == address.is_ipv6() {
            &mut first
        } else {
            &mut second
        };
        queue.push_back(address);
    }
    let mut ordered = VecDeque::with_capacity(first.len() + second.len());
    while !(first.is_empty() && second.is_empty()) {
        ordered.extend(first.pop_front());
        ordered.extend(second.pop_front());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// An address that does not answer further connections, not even with a refusal, while the
    /// returned sockets live.
    async fn silent() -> (SocketAddr, (TcpListener, TcpStream)) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let listener = socket.listen(0).expect("a listener");
        let address = listener.local_addr().expect("its address");
        // The connection is never accepted, so that the backlog of one is full.
        let only = TcpStream::connect(address).await.expect("the one place");
        (address, (listener, only))
    }

    #[tokio::test]
    async fn a_silent_address_costs_its_head_start_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let living = listener.local_addr().expect("its address");
        let (silent, _kept) = silent().await;
        let began = Instant::now();
        let stream = first_of(VecDeque::from([silent, silent, living])).await.expect("connected");
        assert_eq!(stream.peer_addr().expect("a peer"), living);
        assert!(began.elapsed() >= 2 * HEAD_START, "{:?}: nothing was silent", began.elapsed());
    }

    #[tokio::test]
    async fn when_every_address_refuses_the_error_says_so() {
        let closed = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port")
            .local_addr()
            .expect("its address");
        let error = first_of(VecDeque::from([closed, closed])).await.expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn the_families_take_turns() {
        let parse = |texts: &[&str]| {
            texts.iter().filter_map(|text| text.parse().ok()).collect::<Vec<SocketAddr>>()
        };
        let given = parse(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "1.1.1.2:1"]);
        assert_eq!(
            Vec::from(interleaved(given.into_iter())),
            parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1"])
        );
    }
}
