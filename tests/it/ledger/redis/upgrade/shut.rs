//! A process of the release before can do nothing with a team that was taken over, or was made
//! after it.
//!
//! Whatever it says of a team is one script, which reads the team's own hash before it writes
//! anything; rows and usage it reads only with that hash.

use super::*;

/// Whether the first that the scripts of that release do of a team fails.
async fn is_shut(server: &RedisServer) -> bool {
    let read: Result<Vec<Option<String>>, _> =
        server.ask(&["HMGET", OLD, "d:2026-11-23", "m:2026-11", "t", "u", "e"]).await;
    read.is_err_and(|error| error.code() == Some("WRONGTYPE"))
}

async fn seconds_left(server: &RedisServer, key: &str) -> i64 {
    server.ask(&["TTL", key]).await.unwrap()
}

#[tokio::test]
async fn a_team_taken_over_leaves_only_its_shut_mark() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    assert!(!is_shut(&server).await);
    assert_eq!(process(&server, &clock).open(&call().team).await.unwrap(), 3);
    assert!(is_shut(&server).await);
    let left: Vec<String> = server.ask(&["KEYS", "mg1:{design}:*"]).await.unwrap();
    assert_eq!(left, [OLD]);
    assert!(
        seconds_left(&server, OLD).await > 399 * 24 * 3600,
        "for longer than a rollout, and not for ever"
    );
}

#[tokio::test]
async fn a_new_team_is_shut_before_it_exists() {
    let (server, clock) = (RedisServer::start().await, Clock::moved(moment(NOW)));
    let verdict = process(&server, &clock).admit(of_bob().admission(id(1))).await.unwrap();
    assert!(matches!(verdict, Verdict::Admitted { .. }));
    assert!(is_shut(&server).await);
}

#[tokio::test]
async fn an_emptied_store_is_shut_once_somebody_notices() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    let ledger = process(&server, &clock);
    assert_eq!(difference(&answers(&ledger).await, ANSWERS), None);
    server.run(&["FLUSHALL"]).await;
    let outage = ledger.admit(of_bob().admission(id(1))).await.unwrap_err();
    assert!(matches!(outage, Outage::Lost), "{outage:?}");
    assert!(is_shut(&server).await);
}

#[tokio::test]
async fn what_is_taken_over_keeps_its_time_to_live() {
    const DAY: i64 = 24 * 3600;
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    let ends = clock.now().as_microsecond() + 300 * DAY * 1_000_000;
    server.run(&["HSET", OLD, "u", &format!("{ends} 1795341600250000")]).await;
    server.run(&["EXPIRE", "mg1:{design}:rows", &(200 * DAY).to_string()]).await;
    server.run(&["EXPIRE", "mg1:{design}:usage:2026-11-22", &(100 * DAY).to_string()]).await;
    process(&server, &clock).open(&call().team).await.unwrap();
    for (key, days) in [
        (STATE, 300),
        ("mg2:{design}:due", 300),
        ("mg2:{design}:ends", 300),
        ("mg2:{design}:rows", 200),
    ] {
        let left = seconds_left(&server, key).await;
        assert!(left > (days - 1) * DAY && left <= days * DAY, "{key}: {left}");
    }
    let left = seconds_left(&server, "mg2:{design}:usage:2026-11-22").await;
    assert!(left > 99 * DAY && left <= 100 * DAY, "{left}");
    let counted_until: i64 =
        server.ask(&["ZSCORE", "mg2:{design}:ends", "d:2026-11-22"]).await.unwrap();
    let seconds = (counted_until - clock.now().as_microsecond()) / 1_000_000;
    assert!(
        seconds > 98 * DAY && seconds <= 99 * DAY,
        "what says that it is there ends before it: {seconds}"
    );
}
