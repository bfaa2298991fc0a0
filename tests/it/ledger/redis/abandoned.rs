//! An admission that was given up is not made after all, should what was sent come out of some
//! buffer later.

use moongate::clock::Clock;
use moongate::ledger::{ReservationId, Verdict};
use moongate::store::Topology;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{BRIEF, handle, patient, stored};
use crate::ledger::conformance::harness::{MORNING, call, moment};
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisServer, wait_until};
use crate::support::stored::Reached as _;

/// What was sent arrives, and is carried out.
async fn arrives(server: &RedisServer, sent: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    stream.write_all(&[sent, b"PING\r\n"].concat()).await.unwrap();
    let mut answers = Vec::new();
    while !answers.ends_with(b"+PONG\r\n") {
        assert!(stream.read_buf(&mut answers).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn an_admission_given_up_reserves_nothing_when_it_arrives_late() {
    for gives_up in [true, false] {
        let (server, clock) = (RedisServer::start().await, Clock::moved(moment(MORNING)));
        let proxy = Proxy::start(server.port()).await;
        let url = format!("redis://127.0.0.1:{}", proxy.port());
        // The clock stands still, so that a late admission is not turned away for its age.
        let settings = patient(&server).at(Topology::Single { url }).within(BRIEF).told_by(&clock);
        let ledger = handle(settings);
        let verdict = ledger.admit(call().admission(ReservationId::new())).await.unwrap();
        assert!(matches!(verdict, Verdict::Admitted { .. }));
        let revision =
            async || server.ask::<String>(&["HGET", &stored::state("design"), "r"]).await.unwrap();
        let before = revision().await;
        proxy.set(Fault::HoldRequests);
        ledger.admit(call().admission(ReservationId::new())).await.unwrap_err();
        let late = proxy.kept();
        if gives_up {
            // Cut, because the admission may pass the proxy now, and would move the revision
            // itself.
            proxy.cut();
            proxy.set(Fault::None);
            wait_until("it is kept from being made", async || revision().await != before).await;
        } else {
            drop(ledger);
        }
        arrives(&server, &late).await;
        // A process that dies gives nothing up: its call is left to the sweep.
        assert_eq!(stored::open(&server, "design").await, if gives_up { 1 } else { 2 });
    }
}
