//! The last of a socket: nothing more is sent, and what still comes is dropped until the caller has closed its side.
//!
//! RFC 9112, 9.6: a server that closes while a client sends loses its last answer to the reset. It half-closes instead,
//! and reads.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a caller may be silent while what it sends is dropped.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How much is dropped at a time.
const PIECE: usize = 16 * 1024;

/// Ends a socket whose caller may still send: takes in and drops what comes within this time, up to so many bytes.
pub async fn linger(mut stream: TcpStream, within: Duration, bytes_max: u64) {
    // What could be said has been said: a caller that waits for the end sees it now.
    let _ = stream.shutdown().await;
    let _ = timeout(within, drop_what_comes(&stream, bytes_max)).await;
}

async fn drop_what_comes(stream: &TcpStream, bytes_max: u64) {
    let (mut piece, mut left) = (vec![0; PIECE], bytes_max);
    while let Ok(Ok(())) = timeout(SILENCE_MAX, stream.readable()).await {
        match stream.try_read(&mut piece) {
            Ok(0) => return,
            Ok(bytes) => match left.checked_sub(bytes as u64) {
                Some(rest) => left = rest,
                None => return,
            },
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
