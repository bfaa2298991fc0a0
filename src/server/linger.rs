//! The last of a socket: nothing more is sent, and what still comes is dropped until the caller has closed its side.
//!
//! RFC 9112, 9.6: a server that closes while a client sends loses its last answer to the reset. It half-closes instead, and reads.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Settings;
use super::discard::{SILENCE_MAX, bytes_max};

/// How much is dropped at a time.
const PIECE: usize = 16 * 1024;

/// Ends a socket whose caller may still send, within the bounds for a body that is dropped.
pub(super) async fn linger(mut stream: TcpStream, settings: Arc<Settings>) {
    // What could be said has been said: a caller that waits for the end sees it now.
    let _ = stream.shutdown().await;
    let _ = timeout(settings.body_timeout, drop_what_comes(&stream, bytes_max(&settings))).await;
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
