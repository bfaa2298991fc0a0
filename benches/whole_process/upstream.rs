//! The upstream as its own process: raw TCP, keep-alive, one write per answer, only for who shows
//! the shared key.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

use crate::job::{self, Message};

/// How long the slow model takes.
pub const SLOW_ANSWER: Duration = Duration::from_secs(2);

/// Pause after an error of `accept`.
const BACK_OFF: Duration = Duration::from_millis(10);

/// A listener on a free port.
///
/// # Errors
/// There is none.
pub fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(4096)
}

/// Serves whoever connects. Accepts on a thread of its own: beside thousands of answers an accept
/// would wait so long that the kernel's queue runs full, and whoever connects then is heard only
/// after one, three or seven seconds.
///
/// # Errors
/// A socket cannot be set up.
pub async fn answer_everybody(listener: TcpListener) -> io::Result<()> {
    let listener = listener.into_std()?;
    listener.set_nonblocking(false)?;
    let (accepted, mut streams) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    if accepted.send(stream).is_err() {
                        return;
                    }
                }
                // No file is free until a proxy closes a connection.
                Err(_) => std::thread::sleep(BACK_OFF),
            }
        }
    });
    while let Some(stream) = streams.recv().await {
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream)?;
        stream.set_nodelay(true)?;
        // A connection that ends badly is the proxy's affair, and shows in what the caller gets.
        tokio::spawn(async move { answer_all(stream).await.ok() });
    }
    Ok(())
}

async fn answer_all(mut stream: TcpStream) -> io::Result<()> {
    let good = job::good_answer();
    let slow_start = format!("POST /api/v1/{} ", job::SLOW);
    let shared = memmem::Finder::new(job::SHARED_CREDENTIAL);
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let Some(message) = Message::find(&buffer).map_err(io::Error::other)? else {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = &buffer[..message.head];
        let is_slow = head.starts_with(slow_start.as_bytes());
        let answer =
            if shared.find(head).is_some() { good.as_slice() } else { job::UNKNOWN_CALLER };
        buffer.drain(..message.whole);
        if is_slow {
            tokio::time::sleep(SLOW_ANSWER).await;
        }
        stream.write_all(answer).await?;
    }
}
