//! Reaches the upstream's host: every address the name has, one dead address not in the way of the others.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};

/// How long one address is tried alone before the next is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Looks the name up and connects to the first of its addresses that answers.
///
/// # Errors
/// The name is unknown, or no address can be reached: the last one's error.
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

/// The addresses in the resolver's order, the families in turn (RFC 8305, section 4): a broken family costs one wait.
fn interleaved(addresses: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let (mut first, mut second) = (VecDeque::new(), VecDeque::new());
    let mut first_is_v6 = None;
    for address in addresses {
        let queue =
            if *first_is_v6.get_or_insert(address.is_ipv6()) == address.is_ipv6() { &mut first } else { &mut second };
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
    use super::*;

    #[tokio::test]
    async fn a_dead_address_does_not_hide_a_living_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let living = listener.local_addr().expect("its address");
        // Of a network that nobody may use (RFC 5737): silence, or refused by the machine itself.
        let dead = SocketAddr::from(([192, 0, 2, 1], living.port()));
        let stream = tokio::time::timeout(Duration::from_secs(5), first_of(VecDeque::from([dead, living]))).await;
        assert_eq!(stream.expect("in time").expect("connected").peer_addr().expect("a peer"), living);
    }

    #[tokio::test]
    async fn when_every_address_refuses_the_error_says_so() {
        let closed =
            tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("its address");
        let error = first_of(VecDeque::from([closed, closed])).await.expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn the_families_take_turns() {
        let parse = |texts: &[&str]| texts.iter().filter_map(|text| text.parse().ok()).collect::<Vec<SocketAddr>>();
        let given = parse(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "1.1.1.2:1"]);
        assert_eq!(Vec::from(interleaved(given.into_iter())), parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1"]));
    }
}
