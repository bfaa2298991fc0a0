//! One listening socket per worker, all on one address, so that the kernel spreads the connections.
//!
//! Only one gateway may have an address. `SO_REUSEPORT` alone would let a second one in, and
//! callers would land in either. So the first socket is bound without the flag and listens before
//! it gets it: the kernel refuses a second gateway, which also begins without the flag, at any
//! moment.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Most connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// Error of Linux where it has no IPv6.
const EAFNOSUPPORT: i32 = 97;

/// Binds `workers` sockets to one address. Port 0 takes a free port, the same for all. `[::]` means
/// every address of both families, or of IPv4 alone where the system has no IPv6.
///
/// # Errors
/// The address is in use, also by another gateway, or not ours.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    let first = bind_one(address)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..workers {
        SockRef::from(&listeners[0]).set_reuse_port(true)?;
        listeners.push(listening(address, true)?);
    }
    Ok(listeners)
}

/// Binds one socket; otherwise like [`bind`].
///
/// # Errors
/// The address is in use, or not ours.
pub fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    listening(address, false).or_else(|error| match without_ipv6(address, &error) {
        Some(address) => {
            tracing::info!(%address, "there is no IPv6 here: listening on IPv4 alone");
            listening(address, false)
        }
        None => Err(error),
    })
}

/// The address to bind instead of `[::]` on a system without IPv6.
fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let is_absent = error.raw_os_error() == Some(EAFNOSUPPORT)
        || error.kind() == io::ErrorKind::AddrNotAvailable;
    (is_absent && address.ip() == Ipv6Addr::UNSPECIFIED)
        .then(|| (Ipv4Addr::UNSPECIFIED, address.port()).into())
}

/// Binds and listens: alone on its address, or joining the sockets there.
fn listening(address: SocketAddr, joins: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(joins)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // Independent of `net.ipv6.bindv6only`.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use std::net::TcpStream;
    use std::sync::Barrier;

    use super::*;

    fn bound(address: &str, workers: usize) -> io::Result<Vec<TcpListener>> {
        bind(address.parse().expect("an address"), workers)
    }

    fn port(listeners: &[TcpListener]) -> u16 {
        listeners[0].local_addr().expect("an address").port()
    }

    #[test]
    fn an_address_in_use_is_refused_whatever_the_workers() {
        for workers in [1, 2, 5] {
            let first = bound("127.0.0.1:0", workers).expect("a free port");
            assert_eq!(first.len(), workers);
            let port = port(&first);
            for (second, address) in
                [(1, "127.0.0.1"), (3, "127.0.0.1"), (2, "0.0.0.0"), (2, "[::]")]
            {
                let taken = bound(&format!("{address}:{port}"), second).expect_err("taken");
                assert_eq!(
                    taken.kind(),
                    io::ErrorKind::AddrInUse,
                    "{address} with {workers} and {second}: {taken}"
                );
            }
            drop(first);
            assert!(bound(&format!("127.0.0.1:{port}"), workers).is_ok(), "it is free again");
        }
    }

    #[test]
    fn two_simultaneous_binds_never_both_get_an_address() {
        for _ in 0..200 {
            let port = port(&bound("127.0.0.1:0", 1).expect("a free port"));
            let (together, over) = (Barrier::new(4), Barrier::new(4));
            let got = std::thread::scope(|scope| {
                let racers = [1, 2, 3, 2].map(|workers| {
                    let (together, over) = (&together, &over);
                    scope.spawn(move || {
                        together.wait();
                        let bound = bound(&format!("127.0.0.1:{port}"), workers);
                        over.wait();
                        bound.is_ok()
                    })
                });
                racers
                    .into_iter()
                    .map(|racer| racer.join().expect("an end"))
                    .filter(|got| *got)
                    .count()
            });
            assert!(got <= 1, "{got} listen on one port");
        }
    }

    #[test]
    fn every_worker_gets_its_share_of_the_connections() {
        let listeners = bound("127.0.0.1:0", 3).expect("a free port");
        let address = listeners[0].local_addr().expect("an address");
        let _callers: Vec<_> =
            (0..300).map(|_| TcpStream::connect(address).expect("a connection")).collect();
        let shares: Vec<_> = listeners
            .iter()
            .map(|listener| std::iter::from_fn(|| listener.accept().ok()).count())
            .collect();
        assert_eq!(shares.iter().sum::<usize>(), 300);
        assert!(shares.iter().all(|share| *share > 30), "{shares:?}");
    }

    #[test]
    fn the_unspecified_address_of_ipv6_answers_both_families() {
        let listeners = bound("[::]:0", 2).expect("a free port");
        let port = port(&listeners);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        // Skipped without IPv6: there is no such address to call.
        if TcpListener::bind("[::1]:0").is_ok() {
            assert!(TcpStream::connect(("::1", port)).is_ok());
        }
    }

    #[test]
    fn without_ipv6_the_wildcard_means_all_of_ipv4() {
        let absent = io::Error::from_raw_os_error(EAFNOSUPPORT);
        let every = "[::]:8080".parse().expect("an address");
        assert_eq!(without_ipv6(every, &absent), Some("0.0.0.0:8080".parse().expect("an address")));
        assert_eq!(without_ipv6("[::1]:8080".parse().expect("an address"), &absent), None);
        assert_eq!(without_ipv6(every, &io::ErrorKind::AddrInUse.into()), None);
    }
}
