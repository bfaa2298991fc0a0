//! A store flushed while calls come: no budget is passed, and no settlement is lost.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use moongate::ledger::redis::Settings;
use moongate::ledger::{Ledger, ReservationId, Settled};
use moongate::team::LimitKind;

use super::super::{Seen, observed, patient};
use super::world::{admit, counted, rows, settle, snapshot};
use crate::ledger::conformance::harness::{Call, PRICE, call, credits, limit};
use crate::support::redis::RedisServer;

/// Two replicas whose team has a budget for so many calls.
struct Load {
    server: RedisServer,
    replicas: [Arc<dyn Ledger>; 2],
    seen: Arc<Seen>,
    call: Call,
    budget: u64,
    /// The replicas that look after all teams, as they do in gateways.
    go_round: &'static [usize],
}

impl Load {
    async fn on(budget: u64, go_round: &'static [usize]) -> Self {
        let (server, seen) = (RedisServer::start().await, Arc::<Seen>::default());
        let settings = Settings { reservation_ttl: Duration::from_secs(6), ..patient(&server) };
        let replicas = [observed(settings.clone(), seen.clone()), super::super::handle(settings)];
        let call = call().limits([limit(LimitKind::CreditsTotal, budget * PRICE)]).user("ana", []);
        Self { server, replicas, seen, call, budget, go_round }
    }

    /// Makes a call, however long that takes; `None`: the budget is spent.
    async fn make(&self, ledger: &Arc<dyn Ledger>) -> Option<(ReservationId, Settled)> {
        let id = loop {
            match admit(ledger, &self.call).await {
                Ok(admitted) => break admitted?,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        loop {
            match settle(ledger, &self.call, id).await {
                Ok(settled) => break Some((id, settled)),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Who has nothing to do at the moment is heard as well.
    async fn goes_round(&self, ledger: &Arc<dyn Ledger>) {
        loop {
            let _ = snapshot(ledger, &self.call).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes calls, so many at a time, each by the given replica; flushes the store before
    /// some of them, when most of those before these have ended. Then the budget is spent to the
    /// last call, and every call has its row.
    async fn goes_on(
        &self,
        calls: usize,
        at_a_time: usize,
        by: impl Fn(usize) -> usize,
        flushed: &[usize],
    ) {
        let make = async |number: usize| {
            if flushed.contains(&number) {
                self.server.run(&["FLUSHALL"]).await;
            }
            self.make(&self.replicas[by(number)]).await
        };
        let made = stream::iter(0..calls).map(make).buffer_unordered(at_a_time).collect::<Vec<_>>();
        let go_round = self.go_round.iter().map(|number| self.goes_round(&self.replicas[*number]));
        let made = tokio::select! {
            made = made => made,
            _ = join_all(go_round) => unreachable!(),
        };
        let paid: Vec<_> = made.into_iter().flatten().collect();
        assert!(paid.iter().all(|(_, settled)| *settled == Settled::Now(credits(PRICE))));
        let mut ids: Vec<_> = paid.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        assert_eq!(ids.len() as u64, self.budget);
        assert!(
            rows(&self.replicas[0], &self.call).await == ids,
            "every settlement has its row, once"
        );
        assert_eq!(counted(&self.replicas[1], &self.call).await, [(self.budget * PRICE, 0)]);
        let losses = self.seen.losses().len();
        assert!(losses >= flushed.len(), "there was something to lose: {losses}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_flushed_under_load_exceeds_no_budget() {
    Load::on(300, &[0, 1]).await.goes_on(600, 50, |number| number % 2, &[100, 250]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_under_a_teams_first_calls_exceeds_no_budget() {
    // One replica has had work for the team when its store is emptied; the other has its first
    // then.
    Load::on(40, &[0]).await.goes_on(100, 10, |number| usize::from(number >= 30), &[30]).await;
}
