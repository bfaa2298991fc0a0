//! One listening socket per worker on one address: the kernel shares out the connections, and no worker wakes another.
//!
//! An address has one gateway. `SO_REUSEPORT` alone would let a second one in, and callers would land in either. So the
//! first socket is bound without it and listens before the flag is set: the kernel lets nobody bind who does not have
//! the flag, and whoever starts a second gateway begins without it too. There is no moment at which both get through.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Linux says this where it has no IPv6 at all.
const EAFNOSUPPORT: i32 = 97;

/// Binds `workers` sockets to one address. Port 0 finds a free port, the same for all. `[::]` is every address of both
/// families; where the system has no IPv6 it is every address of IPv4.
///
/// # Errors
/// The address is taken, also by another gateway, or not ours.
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
/// The address is taken, or not ours.
pub fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    listening(address, false).or_else(|error| match without_ipv6(address, &error) {
        Some(address) => {
            tracing::info!(%address, "there is no IPv6 here: listening on IPv4 alone");
            listening(address, false)
        }
        None => Err(error),
    })
}

/// What to bind instead, when an address of every family cannot be had because there is no IPv6.
fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let is_absent = error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == io::ErrorKind::AddrNotAvailable;
    (is_absent && address.ip() == Ipv6Addr::UNSPECIFIED).then(|| (Ipv4Addr::UNSPECIFIED, address.port()).into())
}

/// A socket that listens: alone on its address, or one that joins others there.
fn listening(address: SocketAddr, joins: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(joins)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // Whatever net.ipv6.bindv6only says.
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
    fn an_address_that_somebody_listens_on_is_taken_however_many_workers_either_has() {
        for workers in [1, 2, 5] {
            let first = bound("127.0.0.1:0", workers).expect("a free port");
            assert_eq!(first.len(), workers);
            let port = port(&first);
            for (second, address) in [(1, "127.0.0.1"), (3, "127.0.0.1"), (2, "0.0.0.0"), (2, "[::]")] {
                let taken = bound(&format!("{address}:{port}"), second).expect_err("taken");
                assert_eq!(taken.kind(), io::ErrorKind::AddrInUse, "{address} with {workers} and {second}: {taken}");
            }
            drop(first);
            assert!(bound(&format!("127.0.0.1:{port}"), workers).is_ok(), "it is free again");
        }
    }

    #[test]
    fn of_those_who_bind_one_address_at_the_same_time_never_two_get_it() {
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
                racers.into_iter().map(|racer| racer.join().expect("an end")).filter(|got| *got).count()
            });
            assert!(got <= 1, "{got} listen on one port");
        }
    }

    #[test]
    fn every_worker_gets_its_share_of_the_connections() {
        let listeners = bound("127.0.0.1:0", 3).expect("a free port");
        let address = listeners[0].local_addr().expect("an address");
        let _callers: Vec<_> = (0..300).map(|_| TcpStream::connect(address).expect("a connection")).collect();
        let shares: Vec<_> =
            listeners.iter().map(|listener| std::iter::from_fn(|| listener.accept().ok()).count()).collect();
        assert_eq!(shares.iter().sum::<usize>(), 300);
        assert!(shares.iter().all(|share| *share > 30), "{shares:?}");
    }

    #[test]
    fn the_unspecified_address_of_ipv6_answers_both_families() {
        let listeners = bound("[::]:0", 2).expect("a free port");
        let port = port(&listeners);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        // A machine without IPv6 has no such address to call.
        if TcpListener::bind("[::1]:0").is_ok() {
            assert!(TcpStream::connect(("::1", port)).is_ok());
        }
    }

    #[test]
    fn without_ipv6_every_address_is_every_address_of_ipv4_and_one_address_is_itself() {
        let absent = io::Error::from_raw_os_error(EAFNOSUPPORT);
        let every = "[::]:8080".parse().expect("an address");
        assert_eq!(without_ipv6(every, &absent), Some("0.0.0.0:8080".parse().expect("an address")));
        assert_eq!(without_ipv6("[::1]:8080".parse().expect("an address"), &absent), None);
        assert_eq!(without_ipv6(every, &io::ErrorKind::AddrInUse.into()), None);
    }
}
