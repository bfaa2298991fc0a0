//! How long connections are kept between calls, and which are closed for new ones when there are
//! many.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::support::blocking;
use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

fn unknown() -> Call {
    Call::get("/nowhere")
}

/// A connection of either version that has made a call.
async fn used(gateway: &Gateway, http2: bool) -> Connection {
    let mut connection = match http2 {
        true => Connection::open_http2(gateway.team()).await,
        false => Connection::open(gateway.team()).await,
    };
    assert_eq!(connection.send(&unknown()).await.status, 404);
    connection
}

/// The timeout of a head does not apply to it.
#[tokio::test]
async fn an_idle_connection_has_the_idle_timeout() {
    let firemoon = Firemoon::start();
    let installation =
        Installation::before(&firemoon).set("/limits/header_timeout", json!("200ms"));
    let gateway = Gateway::serve(&installation).await;
    for http2 in [false, true] {
        let mut kept = used(&gateway, http2).await;
        // A later connection that sends nothing is closed after the header timeout.
        assert_eq!(blocking::exchange(gateway.team(), b""), "");
        assert_eq!(kept.send(&unknown()).await.status, 404, "over HTTP/2: {http2}");
    }
}

#[tokio::test]
async fn a_connection_without_calls_closes_at_its_timeout() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/limits/idle_timeout", json!("300ms"));
    let gateway = Gateway::serve(&installation).await;
    for http2 in [false, true] {
        let connection = used(&gateway, http2).await;
        wait_until("the idle connection is closed", || async {
            gateway.metric("moongate_connections_open").await == Some(0.0)
        })
        .await;
        drop(connection);
    }
}

/// The timeout starts there on a connection that was used before, too.
#[tokio::test]
async fn a_heads_timeout_starts_with_its_first_byte() {
    let firemoon = Firemoon::start();
    let installation =
        Installation::before(&firemoon).set("/limits/header_timeout", json!("500ms"));
    let gateway = Gateway::serve(&installation).await;
    let mut stream = TcpStream::connect(gateway.team()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(b"GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut answer = vec![0; 4096];
    assert!(stream.read(&mut answer).unwrap() > 0);
    stream.write_all(b"GET /nowhere HTTP/1.1\r\nho").unwrap();
    // The end comes before the 75 seconds of an idle connection.
    answer.clear();
    stream.read_to_end(&mut answer).unwrap();
}

/// A busy connection is never closed.
#[tokio::test]
async fn a_full_gateway_closes_the_longest_idle_connection() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon).set("/limits/connections_max", json!(3));
    let gateway = Gateway::serve(&installation).await;
    firemoon.hold().await;
    let (mut busy, call) =
        (Connection::open(gateway.team()).await, picture().with(installation.key("design")));
    let call = tokio::spawn(async move { busy.send(&call).await.status });
    firemoon.until_held(1).await;
    let mut longest = used(&gateway, false).await;
    let mut shorter = used(&gateway, true).await;
    assert_eq!(gateway.metric("moongate_connections_open").await, Some(3.0));
    assert_eq!(gateway.metric("moongate_connections_max").await, Some(3.0));

    let mut newcomer = Connection::open(gateway.team()).await;
    // Long before the idle time, after which one would go anyway.
    let answer = timeout(Duration::from_secs(50), newcomer.send(&unknown())).await;
    assert_eq!(answer.expect("a place within 50 s").status, 404);
    assert!(longest.exchange(&unknown()).await.is_err(), "it made room");
    for kept in [&mut shorter, &mut newcomer] {
        assert_eq!(kept.send(&unknown()).await.status, 404);
    }
    let stalls = r#"moongate_accept_stalls_total{reason="connections_max"}"#;
    assert_eq!(gateway.metric(stalls).await, Some(1.0));
    let full = "as many connections are open as may be (limits.connections_max): callers wait \
                to be accepted";
    gateway.lines_written(1, full).await;
    firemoon.release().await;
    assert_eq!(call.await.unwrap(), 200);
}

#[tokio::test]
async fn running_out_of_descriptors_is_logged_and_measured() {
    let firemoon = Firemoon::start();
    let gateway = Gateway::serve(&Installation::before(&firemoon)).await;
    // Opened before, since nothing can be opened then.
    let mut operator = Connection::open(gateway.operator()).await;
    assert!(operator.exchange(&Call::get("/livez")).await.is_ok());
    let process = gateway.process();
    let taken = |descriptor: &usize| {
        std::path::Path::new(&format!("/proc/{process}/fd/{descriptor}")).is_symlink()
    };
    let next = (0..).find(|descriptor| !taken(descriptor)).unwrap();
    let limit = |descriptors: usize| {
        let arguments = [format!("--pid={process}"), format!("--nofile={descriptors}:")];
        assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
    };
    limit(next);
    let address = gateway.team().to_owned();
    let waiting =
        tokio::spawn(async move { Connection::open(&address).await.send(&unknown()).await.status });
    let full = "no file descriptor is left: callers wait to be accepted; raise the limit of open \
                files (ulimit -n)";
    wait_until("the log says so", || async { gateway.line(full).is_some() }).await;
    let metrics = operator.exchange(&Call::get("/metrics")).await.unwrap();
    let stalls = metrics
        .text()
        .lines()
        .find(|line| line.starts_with(r#"moongate_accept_stalls_total{reason="descriptors"}"#));
    assert!(!stalls.unwrap().ends_with(" 0"), "{stalls:?}");
    assert!(!waiting.is_finished());
    limit(1024);
    assert_eq!(waiting.await.unwrap(), 404);
    // Once in a while.
    gateway.lines_written(1, full).await;
}
