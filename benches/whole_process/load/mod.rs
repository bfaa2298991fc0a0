//! The load: keep-alive connections that call, as fast as they are answered, at a fixed rate, or
//! all at once and slowly.

mod held;
mod paced;
mod saturating;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::job::{self, Message};

pub use held::{Held, hold};
pub use paced::{Paced, pace};
pub use saturating::{Saturation, saturate};

/// Whom to call, and with what: the calls are dealt out to the connections in turn.
#[derive(Clone)]
pub struct Target {
    /// The proxy, or the upstream itself.
    pub address: SocketAddr,
    /// A call of every team.
    pub calls: Arc<[Vec<u8>]>,
}

impl Target {
    /// The call that a connection makes at its turn: with more teams than connections, each team
    /// has its turn as well.
    fn call(&self, connection: usize, connections: usize, turn: usize) -> &[u8] {
        &self.calls[(connection + turn * connections) % self.calls.len()]
    }

    /// The same calls of the first team alone.
    pub fn of_one_team(&self) -> Self {
        Self { address: self.address, calls: self.calls.iter().take(1).cloned().collect() }
    }
}

/// One keep-alive connection.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        Self::of(TcpStream::connect(address).await?)
    }

    fn of(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Makes one call; what came instead of a good answer.
    async fn call(&mut self, call: &[u8]) -> io::Result<Option<String>> {
        self.stream.write_all(call).await?;
        self.answer().await
    }

    /// Waits for the next answer; what came when it was not a good one.
    async fn answer(&mut self) -> io::Result<Option<String>> {
        let (status, message) = self.read().await?;
        let bad = (status != 200).then(|| {
            format!(
                "status {status} {}",
                String::from_utf8_lossy(&self.buffer[message.head..message.whole])
            )
        });
        self.buffer.drain(..message.whole);
        Ok(bad)
    }

    async fn read(&mut self) -> io::Result<(u16, Message)> {
        loop {
            if let Some(message) = Message::find(&self.buffer).map_err(io::Error::other)? {
                return Ok((job::status(&self.buffer), message));
            }
            self.buffer.reserve(2048);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "closed before it answered",
                ));
            }
        }
    }
}

/// Makes one call on a connection of its own; status and body.
///
/// # Errors
/// It cannot connect, or is not answered.
pub async fn once(address: SocketAddr, call: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let mut connection = Connection::open(address).await?;
    connection.stream.write_all(call).await?;
    let (status, message) = connection.read().await?;
    Ok((status, connection.buffer[message.head..message.whole].to_vec()))
}
