//! Callers who go on until their team's budget is spent, through two gateways on one store,
//! whatever happens to the store; and what must hold afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moongate::ledger::redis::Settings;
use moongate::ledger::{BudgetSnapshot, Ledger, Level, Outage, Outcome, Row, Scope, SnapshotQuery};
use moongate::store::Topology;
use moongate::team::limit::{Shape, Unit};
use moongate::team::{Limit, LimitKind, Limits, TeamId};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;
use crate::support::stored;
use crate::support::stored::Reached as _;

/// How many calls the budget is for, and what one costs, in millionths.
const PAID: u64 = 400;
const PRICE: u64 = 25_000;
/// How many call at the same time, half of them through each gateway.
const CALLERS: usize = 16;

/// Two gateways whose team design has a prepaid budget, before a Firemoon that takes its time.
pub(super) struct World {
    pub(super) firemoon: Firemoon,
    pub(super) gateways: [Gateway; 2],
    installation: Installation,
}

/// The callers.
pub(super) struct Load(JoinSet<Caller>);

/// What one of them met.
#[derive(Debug, Default)]
struct Caller {
    made: Vec<String>,
    refused: usize,
}

impl World {
    /// Two gateways with the ledger at this URL.
    pub(super) async fn start(redis_url: &str, reservation_ttl: &str) -> Self {
        Self::start_within("2s", redis_url, reservation_ttl).await
    }

    /// Two gateways that wait for an answer of the ledger at this URL until a deadline.
    pub(super) async fn start_within(
        deadline: &str,
        redis_url: &str,
        reservation_ttl: &str,
    ) -> Self {
        let firemoon = Firemoon::start_with(&["--latency", "50ms"]);
        let redis = json!({ "url": redis_url, "deadline": deadline });
        let installation = Installation::before(&firemoon)
            .set("/ledger", json!({ "redis": redis, "reservation_ttl": reservation_ttl }))
            .set(
                "/teams/design/limits",
                json!({ "credits_total": 10, "requests_per_month": 100_000, "concurrent": 100 }),
            )
            .set("/teams/design/user_limits", json!({ "credits_per_month": 10 }));
        let gateways = [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
        Self { firemoon, gateways, installation }
    }

    fn key(&self) -> &str {
        self.installation.key("design")
    }

    /// Sends the callers off.
    pub(super) fn load(&self) -> Load {
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let address = self.gateways[number % 2].team().to_owned();
            callers.spawn(spend(address, picture().with(self.key()), number));
        }
        Load(callers)
    }

    /// Lets something happen when so many calls have been made, and every caller has one at
    /// Firemoon which is answered just then.
    pub(super) async fn when_made(&self, calls: u64, happens: impl Future<Output = ()>) {
        wait_until("calls are made", || async { self.firemoon.executed().await >= calls }).await;
        self.firemoon.hold().await;
        self.firemoon.until_held(CALLERS as u64).await;
        tokio::join!(self.firemoon.release(), happens);
    }

    /// Waits until a gateway has noticed that the store has lost something.
    pub(super) async fn until_loss_is_noticed(&self) {
        let changes =
            async |gateway: &Gateway| gateway.metric("moongate_ledger_epoch_changes_total").await;
        wait_until("the loss is noticed", || async {
            changes(&self.gateways[0]).await > Some(0.0)
                || changes(&self.gateways[1]).await > Some(0.0)
        })
        .await;
    }

    /// Waits until every caller was refused because the budget is spent; then spends what is left,
    /// and compares the ledger on this Redis with Firemoon's own call log. Says how
    /// many calls were refused because the ledger was away.
    pub(super) async fn reckon(&self, load: Load, redis_url: &str) -> usize {
        let callers = load.0.join_all().await;
        let made: Vec<String> = callers.iter().flat_map(|caller| caller.made.clone()).collect();
        let settings = Settings::new(Topology::Single { url: redis_url.to_owned() })
            .within(Duration::from_secs(20));
        let ledger = stored::ledger(settings);
        wait_until("nothing is held any more", || async {
            // A store that was restarted is new to this handle, too, for a while.
            let Ok(snapshot) = snapshot(&ledger).await else { return false };
            snapshot.open == 0 && snapshot.statuses.iter().all(|status| status.reserved == 0)
        })
        .await;
        // A call may have been refused because of another's reservation that was then released.
        let left =
            spend(self.gateways[0].team().to_owned(), picture().with(self.key()), CALLERS).await;
        let snapshot = snapshot(&ledger).await.unwrap();
        for status in &snapshot.statuses {
            let used = match status.kind.shape() {
                Shape::Window(_, Unit::Credits) => PAID * PRICE,
                Shape::Window(_, Unit::Requests) => PAID,
                Shape::Bucket(_) | Shape::Slots => 0,
            };
            assert_eq!((status.used, status.reserved), (used, 0), "{status:?}");
        }
        let executed = self.executed().await;
        assert_eq!(executed.len() as u64, PAID, "the paid calls were executed, and no others");
        let rows = ledger.rows(&TeamId::parse("design").unwrap(), 0, 10_000).await.unwrap().rows;
        let charged: BTreeMap<&str, &Row> = rows
            .iter()
            .filter(|row| row.outcome != Outcome::Released)
            .map(|row| (row.summary.request_id.as_str(), row))
            .collect();
        let ended: Vec<_> = charged
            .values()
            .map(|row| (row.summary.request_id.as_str(), row.outcome, row.charged.micros()))
            .collect();
        let wanted: Vec<_> =
            executed.iter().map(|id| (id.as_str(), Outcome::Charged, PRICE)).collect();
        assert_eq!(ended, wanted, "every call that was made has its settlement");
        let rows_of_charged = rows.iter().filter(|row| row.outcome != Outcome::Released).count();
        assert_eq!(rows_of_charged, charged.len(), "and has it once");
        for id in made.iter().chain(&left.made) {
            assert!(executed.contains(id), "{id} was answered and never made");
        }
        callers.iter().map(|caller| caller.refused).sum()
    }

    /// The names of the calls that Firemoon made, each of which it made once.
    async fn executed(&self) -> Vec<String> {
        let sums = self.firemoon.sums().await;
        let seen = sums["request_ids"].as_object().unwrap().iter();
        let mut executed = Vec::new();
        for (id, seen) in seen.filter(|(_, seen)| seen["executed"] != 0) {
            assert_eq!(seen["executed"], 1, "{id} was made twice");
            executed.push(id.clone());
        }
        executed.sort();
        executed
    }
}

/// Makes one call after the other until the budget is used up.
async fn spend(address: String, call: Call, number: usize) -> Caller {
    let (mut connection, mut met) = (Connection::open(&address).await, Caller::default());
    for count in 0.. {
        let id = format!("caller-{number:02}-{count:04}");
        let reply = connection.send(&call.clone().header("x-request-id", &id)).await;
        if reply.status == 200 {
            met.made.push(id);
            continue;
        }
        match reply.refusal() {
            (402, code) if code == "budget_exhausted" => break,
            (503, code) if code == "ledger_unavailable" => met.refused += 1,
            refusal => panic!("{id}: {refusal:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    met
}

async fn snapshot(ledger: &Arc<dyn Ledger>) -> Result<BudgetSnapshot, Outage> {
    let limits = [
        Limit::new(LimitKind::CreditsTotal, PAID * PRICE),
        Limit::new(LimitKind::CreditsPerMonth, PAID * PRICE),
        Limit::new(LimitKind::RequestsPerMonth, 100_000),
        Limit::new(LimitKind::Concurrent, 100),
    ];
    let levels = vec![Level { scope: Scope::Team, limits: Arc::new(Limits::new(limits)) }];
    let team = TeamId::parse("design").unwrap();
    ledger
        .snapshot(SnapshotQuery { team, levels, time_zone: jiff::tz::TimeZone::UTC, reader: None })
        .await
}
