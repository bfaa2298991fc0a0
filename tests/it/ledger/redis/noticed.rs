//! A store's loss is noticed by every replica that knows what was stored, and no budget starts
//! afresh.

use std::sync::Arc;

use moongate::ledger::{Ledger, Outage, Outcome, ReservationId, Verdict};
use moongate::team::LimitKind;

use super::{handle, patient, stored};
use crate::ledger::conformance::harness::{Call, PRICE, call, limit, settlement};
use crate::support::redis::RedisServer;
use crate::support::stored::Copy;

fn budgeted() -> Call {
    call().limits([limit(LimitKind::CreditsTotal, 3 * PRICE)])
}

async fn pay(ledger: &Arc<dyn Ledger>, call: &Call) {
    let id = ReservationId::new();
    let Verdict::Admitted { .. } = ledger.admit(call.admission(id)).await.unwrap() else {
        panic!("there is room")
    };
    ledger.settle(&call.team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
}

async fn is_closed(ledger: &Arc<dyn Ledger>, call: &Call) -> bool {
    matches!(ledger.admit(call.admission(ReservationId::new())).await, Err(Outage::Lost))
}

#[tokio::test]
async fn an_emptied_store_is_closed_to_whoever_knew_it() {
    let (server, call) = (RedisServer::start().await, budgeted());
    let ledger = handle(patient(&server));
    pay(&ledger, &call).await;
    server.run(&["FLUSHALL"]).await;
    server.has_been_known_for_long().await;
    assert!(is_closed(&ledger, &call).await);
}

#[tokio::test]
async fn an_older_copy_is_closed_to_whoever_saw_newer() {
    let (server, call) = (RedisServer::start().await, budgeted());
    let ledger = handle(patient(&server));
    pay(&ledger, &call).await;
    let copy = Copy::of(&server).await;
    pay(&ledger, &call).await;
    copy.load_into(&server).await;
    assert!(is_closed(&ledger, &call).await);
}

#[tokio::test]
async fn a_copy_that_lacks_only_a_calls_mark_is_closed() {
    let (server, call) = (RedisServer::start().await, budgeted().waiting());
    let ledger = handle(patient(&server));
    let id = ReservationId::new();
    ledger.admit(call.admission(id)).await.unwrap();
    let copy = Copy::of(&server).await;
    assert!(ledger.dispatch(&call.team, id).await.unwrap());
    copy.load_into(&server).await;
    // Left behind it would be released, though the upstream may have seen it.
    assert!(matches!(ledger.sweep(&call.team).await, Err(Outage::Lost)));
}

#[tokio::test]
async fn a_team_the_store_lost_is_not_new_to_newcomers() {
    let (server, call) = (RedisServer::start().await, budgeted());
    pay(&handle(patient(&server)), &call).await;
    server.run(&["DEL", &stored::state("design")]).await;
    assert!(is_closed(&handle(patient(&server)), &call).await);
    assert!(
        !is_closed(&handle(patient(&server)), &call.team("growth")).await,
        "another team is new, and open"
    );
}
