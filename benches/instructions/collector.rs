//! A collector of traces that takes everything at once, on threads of this process: it is not
//! counted.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::job::Message;
use crate::outcome::Outcome;

const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Starts one; its address.
///
/// # Errors
/// It cannot listen.
pub fn start() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || take_all(stream).ok());
        }
    });
    Ok(address)
}

/// Answers every request of a connection until it ends.
fn take_all(mut stream: TcpStream) -> io::Result<()> {
    let (mut buffer, mut bytes) = (Vec::new(), [0; 65_536]);
    loop {
        if let Some(message) = Message::find(&buffer).map_err(io::Error::other)? {
            buffer.drain(..message.whole);
            stream.write_all(TAKEN)?;
            continue;
        }
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Ok(());
        }
        buffer.extend_from_slice(bytes.get(..read).unwrap_or_default());
    }
}
