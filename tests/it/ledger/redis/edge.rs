//! Counts at the edge of what can be limited, put into Redis as if a thousand million calls had
//! been made.

use moongate::ledger::{ReservationId, Verdict};
use moongate::team::{Limit, LimitKind};

use super::{handle, patient, stored};
use crate::ledger::conformance::harness::{call, limit};
use crate::support::redis::RedisServer;

#[tokio::test]
async fn the_last_of_a_billion_requests_is_admitted() {
    let (server, most) = (RedisServer::start().await, Limit::QUOTA_MAX);
    let ledger = handle(patient(&server));
    for (kind, window) in
        [(LimitKind::RequestsPerDay, "d:%Y-%m-%d"), (LimitKind::RequestsPerMonth, "m:%Y-%m")]
    {
        let call = call().team(kind.name()).limits([limit(kind, most)]);
        let ask = async || ledger.admit(call.admission(ReservationId::new())).await.unwrap();
        let Verdict::Admitted { at, .. } = ask().await else { panic!("the first of all") };
        let (team, window) = (kind.name(), at.strftime(window).to_string());
        // One is open; but one, all others have been made.
        stored::set_window(&server, team, &window, [most - 2, 1, 0, 0]).await;
        let Verdict::Admitted { statuses, .. } = ask().await else {
            panic!("{kind}: there is room for one")
        };
        assert_eq!(
            (statuses[0].used, statuses[0].reserved, statuses[0].remaining()),
            (most - 2, 2, 0)
        );
        let Verdict::Refused { statuses, .. } = ask().await else {
            panic!("{kind}: there is room for none")
        };
        assert_eq!(statuses[0].used + statuses[0].reserved, most);
        let [made, reserved, ..] = stored::window(&server, team, "team", &window).await.unwrap();
        assert_eq!((made, reserved), (most - 2, 2), "{kind}");
    }
}
