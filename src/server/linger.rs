//! Lingering close: sends nothing more, and discards what comes until the caller closes its side.
//!
//! RFC 9112, 9.6: a server that closes while a client sends loses its last answer to the reset.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a caller may be silent meanwhile.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How much is read at a time.
const PIECE: usize = 16 * 1024;

/// Closes a socket whose caller may still send: discards what comes, within a time and a number of
/// bytes.
pub async fn linger(mut stream: TcpStream, within: Duration, bytes_max: u64) {
    // Half-closes: a caller that waits for the end of the answer sees it now.
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
