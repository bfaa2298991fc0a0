//! A step of the ledger is done whole or not at all, also where the server refuses a part of it.

use std::sync::Arc;

use moongate::ledger::{Ledger, Outage, Outcome, ReservationId, Settled, Verdict};
use moongate::team::LimitKind;

use super::{handle, patient, stored};
use crate::ledger::conformance::harness::{Call, PRICE, call, credits, limit, settlement};
use crate::support::redis::RedisServer;

async fn admit(ledger: &Arc<dyn Ledger>, call: &Call) -> Result<ReservationId, Outage> {
    let id = ReservationId::new();
    match ledger.admit(call.admission(id)).await? {
        Verdict::Admitted { .. } => Ok(id),
        Verdict::Refused { statuses, .. } => panic!("refused: {statuses:?}"),
    }
}

fn refused(outage: &Outage, word: &str) -> bool {
    matches!(outage, Outage::Refused(why) if why.contains(word))
}

#[tokio::test]
async fn a_key_of_another_type_is_an_outage_without_changes() {
    let usage = format!("usage:{}", jiff::Timestamp::now().strftime("%Y-%m-%d"));
    for key in stored::TOUCHED.into_iter().chain(["rows", &usage]) {
        let server = RedisServer::start().await;
        let ledger = handle(patient(&server));
        let call = call()
            .limits([limit(LimitKind::Concurrent, 2), limit(LimitKind::RequestsPerMinute, 2)]);
        let id = admit(&ledger, &call).await.unwrap();
        let (key, aside) = (stored::key("design", key), stored::key("design", "aside"));
        // The rows and the usage come to be with the first settlement.
        let there: i64 = server.ask(&["EXISTS", &key]).await.unwrap();
        if there == 1 {
            server.run(&["RENAME", &key, &aside]).await;
        }
        server.run(&["SET", &key, "not what it should be"]).await;
        let outage =
            ledger.settle(&call.team, settlement(id, Outcome::Charged, PRICE)).await.unwrap_err();
        assert!(refused(&outage, "WRONGTYPE"), "{key}: {outage:?}");
        if !key.ends_with("rows") && !key.ends_with(&usage) {
            let outage = admit(&ledger, &call).await.unwrap_err();
            assert!(refused(&outage, "WRONGTYPE"), "{key}: {outage:?}");
        }
        server.run(&["DEL", &key]).await;
        if there == 1 {
            server.run(&["RENAME", &aside, &key]).await;
        }
        let settled =
            ledger.settle(&call.team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
        assert_eq!(settled, Settled::Now(credits(PRICE)), "{key}");
        assert_eq!(ledger.rows(&call.team, 0, 10).await.unwrap().rows.len(), 1, "{key}");
        assert_eq!(ledger.open(&call.team).await.unwrap(), 0, "{key}");
    }
}
