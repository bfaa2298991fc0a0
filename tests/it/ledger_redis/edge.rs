//! Counts at the edge of what can be limited, put into Redis as if a thousand million calls had been made.

use moongate::ledger::{ReservationId, Verdict};
use moongate::team::{Limit, LimitKind};

use super::{handle, patient, stored};
use crate::ledger_conformance::harness::{call, limit};
use crate::support::redis::RedisServer;

#[tokio::test]
async fn the_last_of_a_thousand_million_requests_is_admitted_and_the_next_is_not() {
    let (server, most) = (RedisServer::start().await, Limit::QUOTA_MAX);
    let ledger = handle(patient(&server));
    for (kind, window) in [(LimitKind::RequestsPerDay, "d:%Y-%m-%d"), (LimitKind::RequestsPerMonth, "m:%Y-%m")] {
        let call = call().team(kind.name()).limits([limit(kind, most)]);
        let ask = async || ledger.admit(call.admission(ReservationId::new())).await.unwrap();
        let Verdict::Admitted { at, .. } = ask().await else { panic!("the first of all") };
        let (team, window) = (kind.name(), at.strftime(window).to_string());
        // One is open; but one, all others have been made.
        stored::set_window(&server, team, &window, [most - 2, 1, 0, 0]).await;
        let Verdict::Admitted { standings, .. } = ask().await else { panic!("{kind}: there is room for one") };
        assert_eq!((standings[0].used, standings[0].reserved, standings[0].remaining()), (most - 2, 2, 0));
        let Verdict::Refused { standings, .. } = ask().await else { panic!("{kind}: there is room for none") };
        assert_eq!(standings[0].used + standings[0].reserved, most);
        let [made, reserved, ..] = stored::window(&server, team, "team", &window).await.unwrap();
        assert_eq!((made, reserved), (most - 2, 2), "{kind}");
    }
}
