//! What the upgrade does not take over: a team that never existed, and records that cannot be read.

use super::*;

/// All that is in the store, key by key.
async fn contents(server: &RedisServer) -> Vec<(String, Vec<u8>)> {
    let mut keys: Vec<String> = server.ask(&["KEYS", "mg*:{design}:*"]).await.unwrap();
    keys.sort();
    let mut contents = Vec::new();
    for key in keys.into_iter().filter(|key| !key.contains(":made-by:")) {
        let dump = server.ask(&["DUMP", &key]).await.unwrap();
        contents.push((key, dump));
    }
    contents
}

#[tokio::test]
async fn a_team_that_was_never_there_is_new() {
    let (server, clock) = (RedisServer::start().await, Clock::moved(moment(NOW)));
    let ledger = process(&server, &clock);
    let verdict = ledger.admit(of_bob().admission(id(1))).await.unwrap();
    assert!(matches!(verdict, Verdict::Admitted { .. }));
    assert_eq!(ledger.open(&call().team).await.unwrap(), 1);
}

#[tokio::test]
async fn an_unreadable_record_is_an_outage_without_changes() {
    for (key, field, what) in [
        ("held", "0193570000007000800000000000000c", "what it should not be"),
        ("s:team", "d:2026-11-23", "many"),
        ("s:user:bob", "m:2026-11", ""),
        ("s:key:k7Qp2mZr9aBc", "rs", "7"),
    ] {
        let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
        let key = format!("mg1:{{design}}:{key}");
        let right: String = server.ask(&["HGET", &key, field]).await.unwrap();
        server.run(&["HSET", &key, field, what]).await;
        let before = contents(&server).await;
        let ledger = process(&server, &clock);
        let outage = ledger.admit(of_bob().admission(id(20))).await.unwrap_err();
        assert!(
            matches!(&outage, Outage::Refused(why) if why.contains("cannot be read")),
            "{key}: {outage:?}"
        );
        assert_eq!(contents(&server).await, before, "{key}");
        server.run(&["HSET", &key, field, &right]).await;
        assert_eq!(difference(&answers(&ledger).await, ANSWERS), None, "{key}");
    }
}

#[tokio::test]
async fn a_key_of_another_type_is_an_outage_without_changes() {
    for key in ["open", "held", "rows:free", "there", "usage:2026-11-22", "topup:invoice-7"] {
        let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
        let (key, aside) = (format!("mg1:{{design}}:{key}"), "aside:{design}");
        server.run(&["RENAME", &key, aside]).await;
        server.run(&["XADD", &key, "1-1", "not", "this"]).await;
        let before = contents(&server).await;
        let ledger = process(&server, &clock);
        let outage = ledger.admit(of_bob().admission(id(20))).await.unwrap_err();
        assert!(
            matches!(&outage, Outage::Refused(why) if why.contains("WRONGTYPE")),
            "{key}: {outage:?}"
        );
        assert_eq!(contents(&server).await, before, "{key}");
        server.run(&["RENAME", aside, &key]).await;
        assert_eq!(difference(&answers(&ledger).await, ANSWERS), None, "{key}");
    }
}

#[tokio::test]
async fn a_store_out_of_memory_still_yields_what_it_has() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    server.run(&["CONFIG", "SET", "maxmemory", "1"]).await;
    assert_eq!(difference(&answers(&process(&server, &clock)).await, ANSWERS), None);
}

#[tokio::test]
async fn what_is_no_open_call_in_mg1_becomes_none() {
    let (server, clock) = (filled().await, Clock::moved(moment(NOW)));
    // An admission that was given up before it came, a deadline without a call, and a call without
    // a deadline.
    server.run(&["HSET", "mg1:{design}:held", &id(30).to_string(), "X"]).await;
    server.run(&["ZADD", "mg1:{design}:open", "-1795348830000000", &id(30).to_string()]).await;
    server.run(&["ZADD", "mg1:{design}:open", "1795348830000000", &id(31).to_string()]).await;
    server.run(&["ZREM", "mg1:{design}:open", &id(DISPATCHED).to_string()]).await;
    let ledger = process(&server, &clock);
    assert_eq!(difference(&answers(&ledger).await, ANSWERS), None);
    clock.set(clock.now() + TTL);
    let swept = ledger.sweep(&call().team).await.unwrap();
    assert_eq!((swept.released, swept.refused, swept.unknown), (1, 1, 1));
}
