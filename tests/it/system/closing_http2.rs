//! An idle HTTP/2 connection that closes: its caller can still read what it has not read yet.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use super::early_refusals::Raw;
use crate::support::firemoon::Firemoon;
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

/// A frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Whether the other side has sent its last, which is not read yet: the state CLOSE_WAIT of
/// proc(5). A socket that was reset is not there any more, and has been told too.
fn has_been_told_the_end(stream: &TcpStream) -> bool {
    let Ok(peer) = stream.peer_addr() else { return true };
    let ends = [stream.local_addr().unwrap(), peer].map(|end| format!(":{:04X}", end.port()));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // Compares both ends: a socket that waits after its close may have the same port at this one.
    lines
        .find(|fields| fields[1].ends_with(&ends[0]) && fields[2].ends_with(&ends[1]))
        .is_none_or(|fields| fields[3] == "08")
}

#[tokio::test]
async fn a_closing_http2_connection_still_reads_its_caller() {
    const SETTINGS: u8 = 4;
    const WINDOW_UPDATE: u8 = 8;
    const PING: u8 = 6;
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/limits/idle_timeout", json!("200ms"));
    let gateway = Gateway::serve(&installation).await;
    let mut caller = Raw::open(gateway.team());
    let window = (1_u32 << 24).to_be_bytes();
    // A file that the sockets take whole: idle although unread. Names as in RFC 7541, A.
    let path = b"/gateway/ui/vendor/uplot-1.6.32.js";
    let length = u8::try_from(path.len()).unwrap();
    let head = [&[0x82, 0x86, 0x04, length][..], path, &[0x01, 1, b'a']].concat();
    caller.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    caller.write(&frame(SETTINGS, 0, 0, &[&[0, 4], &window[..]].concat()));
    caller.write(&frame(WINDOW_UPDATE, 0, 0, &window));
    caller.write(&frame(1, 5, 1, &head));
    // The idle connection gets a GOAWAY, and ends with the answer to a ping whose number h2 does
    // not choose.
    let pong = frame(PING, 1, 0, &[0x0b, 0x7b, 0xa2, 0xf0, 0x8b, 0x9b, 0xfe, 0x54]);
    let answered = RefCell::new(&mut caller.0);
    wait_until("the gateway ends the connection", || async {
        let _ = answered.borrow_mut().write_all(&pong);
        has_been_told_the_end(&answered.borrow())
    })
    .await;
    for _ in 0..100 {
        caller.write(&frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()));
    }
    let mut all = Vec::new();
    caller.0.read_to_end(&mut all).unwrap();
    assert!(all.len() > 51_000, "{} bytes", all.len());
}
