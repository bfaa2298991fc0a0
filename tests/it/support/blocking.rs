//! A plain blocking client, for code that runs while a value is dropped and cannot await.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The whole answer to a GET, head and body, as far as it came.
pub fn get(address: &str, path: &str) -> String {
    exchange(
        address,
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes(),
    )
}

/// The whole answer to any bytes, as far as it came.
pub fn exchange(address: &str, bytes: &[u8]) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else { return String::new() };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    // The other side may close while we still write; what it said counts.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}
