//! A mark that a script leaves of an admission that was given up, lest it be made after all.

use moongate::ledger::redis::{Settings, Topology};
use moongate::ledger::{Outage, ReservationId, Verdict};

use super::{BRIEF, handle, patient};
use crate::ledger_conformance::desk::call;
use crate::support::proxy::{Fault, Proxy};
use crate::support::redis::{RedisServer, wait_until};

#[tokio::test]
async fn an_admission_that_was_given_up_is_turned_away_should_it_come_out_of_some_buffer() {
    let server = RedisServer::start().await;
    let (proxy, direct) = (Proxy::start(server.port()).await, handle(patient(&server)));
    let ledger = handle(Settings {
        topology: Topology::Single { url: format!("redis://127.0.0.1:{}", proxy.port()) },
        deadline: BRIEF,
        ..patient(&server)
    });
    let verdict = ledger.admit(call().admission(ReservationId::new())).await.unwrap();
    assert!(matches!(verdict, Verdict::Admitted { .. }));
    let id = ReservationId::new();
    proxy.set_once_sent(&id.to_string(), Fault::SwallowAnswers);
    ledger.admit(call().admission(id)).await.unwrap_err();
    proxy.set(Fault::None);
    wait_until("it is released", || async { !direct.rows(&call().team, 0, 10).await.unwrap().rows.is_empty() }).await;
    let again = direct.admit(call().admission(id)).await.unwrap_err();
    assert!(matches!(&again, Outage::Refused(why) if why.contains("given up")), "{again:?}");
}
