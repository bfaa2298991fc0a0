//! Callers who do not read their answers: they keep their own slots and memory busy, nobody else's,
//! and not for ever.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::spending::spent;
use crate::support::authority::Authority;
use crate::support::caller::{Call, Connection, generate};
use crate::support::firemoon::{Firemoon, PROMPT, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, wait_until};

/// A picture of the one model whose answers are small.
fn small() -> Call {
    generate("flux/schnell", &json!({ "prompt": PROMPT }))
}

/// A Firemoon whose answers have so many bytes, except those of [`small`].
async fn firemoon(bytes: u64) -> Firemoon {
    let firemoon = Firemoon::start();
    let large = json!([{ "fault": "data_uri", "amount": bytes, "model": "flux/dev" }]);
    firemoon.faults(&large).await;
    firemoon
}

/// A small picture, padded: hyper and TLS would take it at once, a narrow caller's socket not.
const ANSWER: u64 = 60_000;

/// How the team's slots stand, as `/gateway/v1/me` shows it.
async fn slots(gateway: &Gateway, key: &str) -> Value {
    let me = gateway.send(&Call::get("/gateway/v1/me").with(key)).await.json();
    me["limits"]
        .as_array()
        .unwrap()
        .iter()
        .find(|limit| limit["limit"] == "team:concurrent")
        .unwrap()
        .clone()
}

fn cut_off(gateway: &Gateway) -> usize {
    gateway.lines("an answer was cut off: its caller reads it too slowly").len()
}

#[tokio::test]
async fn one_teams_unread_answers_cost_no_other_teams() {
    let firemoon = firemoon(1_000_000).await;
    // Makes enough answers to exceed the memory for them by half.
    let limits = json!({ "buffered_bytes_max": "64MiB", "read_window": "1h" });
    let installation = Installation::before(&firemoon).set("/limits", limits);
    let gateway = Gateway::serve(&installation).await;
    let (design, growth) = (installation.key("design"), installation.key("growth"));
    let (read, may_read) = watch::channel(false);
    let mut unread = tokio::task::JoinSet::new();
    for connection in [(); 3].map(|()| Connection::open_narrow_http2(gateway.team())) {
        let connection = connection.await;
        for _ in 0..16 {
            let (mut connection, call, mut may_read) =
                (connection.beside(), picture().with(design), may_read.clone());
            unread.spawn(async move {
                let answer = connection.begin(&call).await.unwrap();
                may_read.wait_for(|read| *read).await.unwrap();
                (
                    answer.status().as_u16(),
                    answer.into_body().collect().await.unwrap().to_bytes().len() > 1_000_000,
                )
            });
        }
    }
    wait_until("all of them are executed", || async { firemoon.executed().await >= 48 }).await;

    // A probe that gets no answer is given up; a call that was admitted before the memory was full
    // waits like the others.
    let soon = Duration::from_secs(10);
    let probe =
        || async { tokio::time::timeout(soon, gateway.send(&picture().with(design))).await };
    wait_until("the team has no room for more", || async {
        probe().await.is_ok_and(|reply| reply.status == 503)
    })
    .await;
    let executed = firemoon.executed().await;
    let refused = probe().await.expect("an answer at once");
    assert_eq!(refused.refusal(), (503, "overloaded".to_owned()));
    assert_eq!((refused.number("retry-after"), firemoon.executed().await), (1, executed));
    for _ in 0..5 {
        let reply = tokio::time::timeout(soon, gateway.send(&small().with(growth)))
            .await
            .expect("an answer at once");
        assert_eq!(reply.status, 200, "{}", reply.text());
        let large = tokio::time::timeout(soon, gateway.send(&picture().with(growth)))
            .await
            .expect("an answer at once");
        assert_eq!((large.status, large.body.len() > 1_000_000), (200, true));
    }

    read.send(true).unwrap();
    assert_eq!(unread.join_all().await, vec![(200, true); 48], "none was lost");
    wait_until("the memory is back", || async {
        gateway.send(&picture().with(design)).await.status == 200
    })
    .await;
}

/// Until it is read or given up.
#[tokio::test]
async fn an_unread_answer_is_paid_and_keeps_its_slot() {
    let firemoon = firemoon(1_000_000).await;
    let installation = Installation::before(&firemoon)
        .set("/teams/design/limits", json!({ "concurrent": 2, "credits_total": 100 }))
        .set("/limits", json!({ "read_window": "1h" }));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let mut connection = Connection::open_narrow_http2(gateway.team()).await;
    let first = connection.begin(&picture().with(key)).await.unwrap();
    let second = connection.begin(&picture().with(key)).await.unwrap();
    assert_eq!(
        spent(&gateway, key, "team:credits_total").await,
        ("0.05".to_owned(), "0".to_owned())
    );
    let slots_now = slots(&gateway, key).await;
    assert_eq!(
        [&slots_now["max"], &slots_now["reserved"], &slots_now["remaining"]],
        [&json!(2), &json!(2), &json!(0)]
    );
    let refused = gateway.send(&small().with(key)).await;
    assert_eq!(
        (refused.refusal(), refused.number("retry-after")),
        ((429, "too_many_concurrent".to_owned()), 1)
    );
    assert_eq!(
        refused.json()["errors"],
        json!(["team:concurrent allows 2 calls at a time: 2 are open"])
    );
    let quote =
        Call::post("/gateway/v1/quote/flux/schnell").json(&json!({ "prompt": PROMPT })).with(key);
    assert_eq!(gateway.send(&quote).await.json()["code"], "too_many_concurrent");

    assert!(first.into_body().collect().await.unwrap().to_bytes().len() > 1_000_000);
    assert_eq!(
        gateway.send(&small().with(key)).await.status,
        200,
        "a caller that has read its answer has its slot back"
    );
    drop(second);
    wait_until("the other is given up", || async { slots(&gateway, key).await["reserved"] == 0 })
        .await;
    assert_eq!(firemoon.executed().await, 3);
}

/// Others on its connection are not.
#[tokio::test]
async fn a_slow_reader_is_cut_off_alone() {
    let firemoon = firemoon(8_000_000).await;
    let installation = Installation::before(&firemoon)
        .set("/teams/design/limits", json!({ "concurrent": 2 }))
        .set("/limits", json!({ "read_rate_min": "64KiB", "read_window": "300ms" }));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let mut http2 = Connection::open_narrow_http2(gateway.team()).await;
    let unread =
        http2.begin(&picture().with(key).header("x-request-id", "unread-2")).await.unwrap();
    assert_eq!(http2.send(&small().with(key)).await.status, 200);
    wait_until("the stream is cut off", || async { cut_off(&gateway) == 1 }).await;
    assert!(unread.into_body().collect().await.is_err());
    assert_eq!(http2.send(&small().with(key)).await.status, 200, "the connection goes on");
    let whole = http2.send(&picture().with(key)).await;
    assert!(whole.body.len() > 8_000_000, "a caller that reads is not cut off");

    let body = json!({ "prompt": PROMPT }).to_string();
    let head = format!(
        "POST /api/v1/flux/dev HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\
         x-request-id: unread-1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut http1 = tokio::net::TcpStream::connect(gateway.team()).await.unwrap();
    http1.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    wait_until("the connection is cut off", || async { cut_off(&gateway) == 2 }).await;
    let mut read = Vec::new();
    // Ended or reset: either way before its end.
    let _ = http1.read_to_end(&mut read).await;
    assert!(read.len() < 8_000_000, "{} bytes came", read.len());
    wait_until("the slots are back", || async { slots(&gateway, key).await["reserved"] == 0 })
        .await;

    for id in ["unread-2", "unread-1"] {
        let list = async || {
            gateway.send(&Call::get(&format!("/gateway/v1/requests/{id}")).with(key)).await.json()
        };
        let is_kept = async || {
            list().await["requests"][0]["answerBytes"]
                .as_u64()
                .is_some_and(|bytes| bytes > 8_000_000)
        };
        wait_until("its answer is kept", is_kept).await;
        let call_id = list().await["requests"][0]["callId"].as_str().unwrap().to_owned();
        let fetched =
            gateway.send(&Call::get(&format!("/gateway/v1/requests/{call_id}")).with(key)).await;
        assert!(
            fetched.status == 200 && fetched.body.len() > 8_000_000,
            "{id}: {} bytes",
            fetched.body.len()
        );
    }
}

/// Until they are read or their replica dies.
#[tokio::test]
async fn unread_answers_keep_their_slots_on_every_replica() {
    let (redis, firemoon) = (RedisServer::start().await, firemoon(1_000_000).await);
    let installation = Installation::before(&firemoon)
        .set("/ledger", json!({ "redis": { "url": redis.url() }, "reservation_ttl": "2s" }))
        .set("/teams/design/limits", json!({ "concurrent": 2, "credits_total": 100 }))
        .set("/limits", json!({ "read_window": "1h" }));
    let (one, mut other) =
        (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    let key = installation.key("design");
    let mut on_one = Connection::open_narrow_http2(one.team()).await;
    let mut on_other = Connection::open_narrow_http2(other.team()).await;
    let first = on_one.begin(&picture().with(key)).await.unwrap();
    let _second = on_other.begin(&picture().with(key)).await.unwrap();
    let executed = firemoon.executed().await;
    for gateway in [&one, &other] {
        let refused = gateway.send(&small().with(key)).await;
        assert_eq!(
            (refused.refusal(), refused.number("retry-after")),
            ((429, "too_many_concurrent".to_owned()), 1)
        );
        assert_eq!(slots(gateway, key).await["reserved"], 2);
        assert_eq!(
            spent(gateway, key, "team:credits_total").await,
            ("0.05".to_owned(), "0".to_owned())
        );
        let list = gateway.send(&Call::get("/gateway/v1/requests").with(key)).await.json();
        assert_eq!(list["requests"], json!([]), "both have ended, and nothing is kept of them");
    }
    assert_eq!(firemoon.executed().await, executed);

    assert!(first.into_body().collect().await.unwrap().to_bytes().len() > 1_000_000);
    assert_eq!(
        other.send(&small().with(key)).await.status,
        200,
        "a caller that has read its answer has its slot back, on any replica"
    );
    let _third = on_one.begin(&picture().with(key)).await.unwrap();
    assert_eq!(
        one.send(&small().with(key)).await.refusal(),
        (429, "too_many_concurrent".to_owned())
    );
    other.kill();
    wait_until("the slot of the dead replica is free", || async {
        one.send(&small().with(key)).await.status == 200
    })
    .await;
    assert_eq!(slots(&one, key).await["reserved"], 1, "the living replica's call is kept");
    let swept = one.metric(r#"moongate_reservations_swept_total{team="design"}"#).await;
    assert!(swept.is_none_or(|calls| calls == 0.0), "no call was left behind: {swept:?}");
}

#[tokio::test]
async fn a_small_unread_answer_keeps_its_slot_too() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::before(&firemoon)
        .set("/ledger", json!({ "redis": { "url": redis.url() } }))
        .set("/teams/design/limits", json!({ "concurrent": 1, "credits_total": 100 }))
        .set("/limits", json!({ "read_window": "1h" }));
    let (one, other) = (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    let key = installation.key("design");
    let mut strait = Connection::open_strait_http2(one.team()).await;
    for is_read in [true, false] {
        let unread = strait.begin(&small().with(key)).await.unwrap();
        assert_eq!(unread.status(), 200);
        for gateway in [&one, &other] {
            assert_eq!(
                gateway.send(&small().with(key)).await.refusal(),
                (429, "too_many_concurrent".to_owned())
            );
            assert_eq!(slots(gateway, key).await["reserved"], 1);
        }
        if is_read {
            assert!(unread.into_body().collect().await.unwrap().to_bytes().len() < 1024);
        } else {
            drop(unread);
            wait_until("the slot is given up", || async {
                slots(&other, key).await["reserved"] == 0
            })
            .await;
        }
        for gateway in [&other, &one] {
            assert_eq!(
                gateway.send(&small().with(key)).await.status,
                200,
                "a caller that has read its answer has its slot back"
            );
        }
    }
    assert_eq!(spent(&one, key, "team:credits_total").await, ("0.018".to_owned(), "0".to_owned()));
}

#[tokio::test]
async fn a_small_unread_answer_is_cut_off_and_kept() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/teams/design/limits", json!({ "concurrent": 1 }))
        .set("/limits", json!({ "read_rate_min": "64KiB", "read_window": "300ms" }));
    let gateway = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let mut strait = Connection::open_strait_http2(gateway.team()).await;
    let unread = strait.begin(&small().with(key)).await.unwrap();
    let call_id = unread.headers()["x-call-id"].to_str().unwrap().to_owned();
    wait_until("the slot is back", || async { slots(&gateway, key).await["reserved"] == 0 }).await;
    wait_until("the cut is counted", || async { cut_off(&gateway) == 1 }).await;
    assert!(unread.into_body().collect().await.is_err());
    let fetch = Call::get(&format!("/gateway/v1/requests/{call_id}")).with(key);
    wait_until("its answer is kept", || async { gateway.send(&fetch).await.status == 200 }).await;
    assert!(gateway.send(&fetch).await.text().contains("http"), "a link to the picture");
}

/// A request for a picture over HTTP/1, for a caller that hangs up.
fn picture_over_http1(key: &str) -> String {
    let body = json!({ "prompt": PROMPT, "image_size": "square" }).to_string();
    format!(
        "POST /api/v1/flux/dev HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\
         connection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn an_answer_the_socket_refuses_keeps_its_slot_over_http1() {
    let (redis, firemoon) = (RedisServer::start().await, firemoon(ANSWER).await);
    let installation = Installation::before(&firemoon)
        .set("/ledger", json!({ "redis": { "url": redis.url() } }))
        .set("/teams/design/limits", json!({ "concurrent": 1, "credits_total": 100 }))
        .set("/limits", json!({ "read_window": "1h" }));
    let (one, other) = (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    let key = installation.key("design");
    let mut narrow = narrow_http1(one.team()).await;
    narrow.write_all(picture_over_http1(key).as_bytes()).await.unwrap();
    its_slot_is_kept_until_it_is_read(narrow, &[&one, &other], key).await;
}

#[tokio::test]
async fn an_answer_the_socket_refuses_keeps_its_slot_over_tls() {
    let (redis, firemoon, authority) =
        (RedisServer::start().await, firemoon(ANSWER).await, Authority::new());
    let mut installation = Installation::before(&firemoon)
        .set("/ledger", json!({ "redis": { "url": redis.url() } }))
        .set("/teams/design/limits", json!({ "concurrent": 1, "credits_total": 100 }))
        .set("/limits", json!({ "read_window": "1h" }));
    let plain = Gateway::serve(&installation).await;
    installation.change("/listen/tls", authority.listener());
    let secure = Gateway::serve(&installation).await;
    let key = installation.key("design");
    let narrow = narrow_http1(secure.team()).await;
    let name = "127.0.0.1".try_into().unwrap();
    let mut narrow = authority.connector().connect(name, narrow).await.unwrap();
    narrow.write_all(picture_over_http1(key).as_bytes()).await.unwrap();
    narrow.flush().await.unwrap();
    its_slot_is_kept_until_it_is_read(narrow, &[&plain], key).await;
}

/// Reads an answer of [`ANSWER`] bytes: before that its slot is taken for every gateway, after it
/// free.
async fn its_slot_is_kept_until_it_is_read(
    mut caller: impl AsyncRead + Unpin,
    gateways: &[&Gateway],
    key: &str,
) {
    wait_until("it is settled", || async {
        spent(gateways[0], key, "team:credits_total").await == ("0.025".to_owned(), "0".to_owned())
    })
    .await;
    for gateway in gateways {
        assert_eq!(
            gateway.send(&small().with(key)).await.refusal(),
            (429, "too_many_concurrent".to_owned())
        );
    }
    let mut read = Vec::new();
    caller.read_to_end(&mut read).await.unwrap();
    assert!(read.len() > 60_000 && read.len() < 64 * 1024, "{} bytes", read.len());
    for gateway in gateways {
        let answer = gateway.send(&small().with(key)).await;
        assert_eq!(answer.status, 200, "a caller that has read its answer has its slot back");
    }
}

/// A connection whose caller takes no more than a few segments of an answer before it reads.
async fn narrow_http1(address: &str) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2 * 1024).unwrap();
    socket2::SockRef::from(&socket).set_tcp_mss(536).unwrap();
    socket.connect(address.parse().unwrap()).await.unwrap()
}
