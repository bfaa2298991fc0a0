//! One of a team's keys is evicted or deleted while the others stay: whichever it is, that is a
//! loss, and no budget starts afresh.
//!
//! All that admission needs is in one key. A loss in another key is noticed when it is read, at the
//! latest by the next sweep.

use std::sync::Arc;
use std::time::Duration;

use moongate::ledger::redis::Settings;
use moongate::ledger::{
    Ledger, Outage, Outcome, ReservationId, Retention, Scope, Settled, TopUp, TopUpId,
};
use moongate::team::LimitKind;

use super::lost::world::{GATHERED, World, admit, budgeted, counted, is_closed, pay, rows, settle};
use super::{Seen, observed, stored};
use crate::ledger::conformance::TTL;
use crate::ledger::conformance::harness::{Call, PRICE, credits, key, limit, settlement};

const KEY: &str = "k7Qp2mZr9aBc";
pub(super) const USAGE: &str = "usage:2026-11-22";

/// A call under budgets of team, user and key.
pub(super) fn three_levels() -> Call {
    let budget =
        |calls| [limit(LimitKind::CreditsPerMonth, calls * PRICE), limit(LimitKind::Concurrent, 9)];
    budgeted().user("ana", budget(5)).level(key(KEY), budget(6))
}

fn top_up() -> TopUp {
    TopUp { id: TopUpId::parse("invoice-1").unwrap(), scope: Scope::Team, credits: credits(PRICE) }
}

/// What a replica does that would be wrong without a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    Admit,
    AdmitANewUser,
    Quote,
    Settle,
    Dispatch,
    Renew,
    Sweep,
    Rows,
    Usage,
    TopUp,
}

async fn does(next: Next, ledger: &Arc<dyn Ledger>, running: ReservationId) -> Result<(), Outage> {
    let call = three_levels();
    let today = "2026-11-22".parse().unwrap();
    match next {
        Next::Admit => admit(ledger, &call).await.map(drop),
        Next::AdmitANewUser => admit(ledger, &call.user("eve", [])).await.map(drop),
        Next::Quote => ledger.quote(call.admission(ReservationId::new())).await.map(drop),
        Next::Settle => {
            ledger.settle(&call.team, settlement(running, Outcome::Charged, PRICE)).await.map(drop)
        }
        Next::Dispatch => ledger.dispatch(&call.team, running).await.map(drop),
        Next::Renew => ledger.renew(&call.team, &[running]).await,
        Next::Sweep => ledger.sweep(&call.team).await.map(drop),
        Next::Rows => ledger.rows(&call.team, 0, 10).await.map(drop),
        Next::Usage => ledger.usage(&call.team, today..=today).await.map(drop),
        Next::TopUp => ledger.top_up(&call.team, top_up()).await.map(drop),
    }
}

/// Two replicas that know a team, of which a key goes: two calls were paid and two are running, one
/// of each by either.
struct Parted {
    world: World,
    seen: Arc<Seen>,
    replicas: [Arc<dyn Ledger>; 2],
    running: [ReservationId; 2],
    before: Vec<(u64, u64)>,
}

impl Parted {
    async fn from(gone: &str) -> Self {
        let (world, call, seen) = (World::start().await, three_levels(), Arc::<Seen>::default());
        let replicas = [observed(world.settings(), seen.clone()), world.replica()];
        replicas[0].top_up(&call.team, top_up()).await.unwrap();
        let mut running = Vec::new();
        for ledger in &replicas {
            pay(ledger, &call).await;
            // One that costs nothing leaves a row in the other list.
            let free = admit(ledger, &call).await.unwrap().unwrap();
            ledger.settle(&call.team, settlement(free, Outcome::Released, 0)).await.unwrap();
        }
        for ledger in &replicas {
            running.push(admit(ledger, &call).await.unwrap().unwrap());
        }
        let before = counted(&replicas[0], &call).await;
        assert_eq!(before[2..5], [(2 * PRICE, 2 * PRICE), (0, 2), (2 * PRICE, 2 * PRICE)]);
        assert_eq!(
            world.server.ask::<i64>(&["DEL", &stored::key("design", gone)]).await.unwrap(),
            1,
            "{gone} was there"
        );
        Self { world, seen, replicas, running: running.try_into().unwrap(), before }
    }

    /// When the time is over that the replicas have, all counts are as they were, calls end once,
    /// and no budget is fresh.
    async fn is_whole_again(&self, what: &str) {
        let (call, [one, other]) = (three_levels(), &self.replicas);
        self.world.pass(GATHERED);
        assert_eq!(counted(one, &call).await, self.before, "{what}");
        for (ledger, id) in [(other, self.running[0]), (one, self.running[1])] {
            assert_eq!(settle(ledger, &call, id).await, Ok(Settled::Now(credits(PRICE))), "{what}");
            assert_eq!(settle(ledger, &call, id).await, Ok(Settled::Before), "{what}");
        }
        let last = pay(one, &call).await;
        assert_eq!(admit(other, &call).await.unwrap(), None, "{what}: the user's five are spent");
        let kept = rows(one, &call).await;
        assert!(
            self.running.iter().chain([&last]).all(|id| kept.contains(id)),
            "{what}: each has its row"
        );
        assert_eq!(
            (self.seen.losses(), one.closed()),
            (vec!["design".to_owned()], vec![]),
            "{what}: it is reported once"
        );
    }
}

/// Missing state is noticed by whichever operation needs it first.
#[tokio::test]
async fn missing_state_is_noticed_and_no_budget_is_fresh() {
    let all = [
        Next::Admit,
        Next::AdmitANewUser,
        Next::Quote,
        Next::Settle,
        Next::Dispatch,
        Next::Renew,
        Next::Sweep,
        Next::TopUp,
    ];
    for next in all {
        let parted = Parted::from("state").await;
        let outcome = does(next, &parted.replicas[0], parted.running[0]).await;
        assert!(matches!(outcome, Err(Outage::Lost)), "{next:?}: {outcome:?}");
        assert_eq!(parted.seen.losses(), ["design"], "{next:?}");
        assert_eq!(parted.replicas[0].closed(), [three_levels().team], "{next:?}");
        assert!(
            is_closed(&parted.replicas[1], &three_levels()).await,
            "{next:?}: for every replica"
        );
        parted.is_whole_again(&format!("{next:?}")).await;
    }
}

#[tokio::test]
async fn a_sweep_notices_a_missing_list_of_deadlines() {
    a_key_beside_is_noticed_by("due", &[Next::Sweep]).await;
}

#[tokio::test]
async fn rows_that_are_gone_are_noticed_by_a_sweep() {
    for gone in ["rows", "rows:free"] {
        a_key_beside_is_noticed_by(gone, &[Next::Sweep]).await;
    }
}

#[tokio::test]
async fn missing_rows_are_noticed_once_even_after_a_read() {
    for gone in ["rows", "rows:free"] {
        a_key_beside_is_noticed_by(gone, &[Next::Rows, Next::Usage, Next::Sweep]).await;
    }
}

/// The next operation fails with a loss or is answered; either way one loss is counted.
pub(super) async fn a_key_beside_is_noticed_by(gone: &str, next: &[Next]) {
    let parted = Parted::from(gone).await;
    for next in next {
        let outcome = does(*next, &parted.replicas[0], parted.running[0]).await;
        assert!(matches!(outcome, Ok(()) | Err(Outage::Lost)), "{gone}, {next:?}: {outcome:?}");
    }
    assert_eq!(parted.seen.losses(), ["design"], "{gone}, {next:?}");
    parted.is_whole_again(&format!("{gone}, {next:?}")).await;
}

#[tokio::test]
async fn a_list_that_regrew_shorter_is_noticed() {
    for gone in ["due", "rows"] {
        let (world, call, seen) = (World::start().await, three_levels(), Arc::<Seen>::default());
        let (one, other) = (observed(world.settings(), seen.clone()), world.replica());
        pay(&one, &call).await;
        let running = admit(&one, &call).await.unwrap().unwrap();
        counted(&other, &call).await;
        world.server.run(&["DEL", &stored::key("design", gone)]).await;
        // No replica has looked there, and one more call adds to the list.
        pay(&other, &call).await;
        let opened = admit(&other, &call).await.unwrap().unwrap();
        let _: Result<_, Outage> = one.sweep(&call.team).await;
        assert_eq!(seen.losses(), ["design"], "{gone}");
        world.pass(GATHERED);
        for id in [running, opened] {
            assert_eq!(settle(&one, &call, id).await, Ok(Settled::Now(credits(PRICE))), "{gone}");
        }
        assert_eq!(counted(&other, &call).await[2], (4 * PRICE, 0), "{gone}");
    }
}

#[tokio::test]
async fn a_replica_that_just_started_notices_what_is_missing() {
    for (gone, next) in
        [("state", Next::Admit), ("due", Next::Sweep), ("rows", Next::Sweep), ("rows", Next::Rows)]
    {
        let (world, call, seen) = (World::start().await, three_levels(), Arc::<Seen>::default());
        let old = world.replica();
        for _ in 0..4 {
            pay(&old, &call).await;
        }
        let running = admit(&old, &call).await.unwrap().unwrap();
        world.server.run(&["DEL", &stored::key("design", gone)]).await;
        let new = observed(world.settings(), seen.clone());
        let outcome = does(next, &new, running).await;
        assert!(
            matches!(outcome, Err(Outage::Lost)) || gone != "state" && outcome.is_ok(),
            "{gone}: {outcome:?}"
        );
        assert_eq!(is_closed(&old, &call).await, is_closed(&new, &call).await, "{gone}");
        world.pass(GATHERED);
        assert!(matches!(admit(&new, &call).await, Ok(None)), "{gone}: the fifth is running");
        assert_eq!(settle(&old, &call, running).await, Ok(Settled::Now(credits(PRICE))), "{gone}");
        assert_eq!(counted(&new, &call).await[2], (5 * PRICE, 0), "{gone}");
    }
}

#[tokio::test]
async fn calls_abandoned_when_deadlines_were_lost_still_end() {
    let (world, call, seen) = (World::start().await, three_levels(), Arc::<Seen>::default());
    let (one, other) = (world.replica(), observed(world.settings(), seen.clone()));
    let sent = admit(&one, &call).await.unwrap().unwrap();
    let waiting = admit(&one, &call.clone().waiting()).await.unwrap().unwrap();
    drop(one);
    world.server.run(&["DEL", &stored::key("design", "due")]).await;
    let _: Result<_, Outage> = other.sweep(&call.team).await;
    assert_eq!(seen.losses(), ["design"]);
    world.pass(GATHERED);
    assert_eq!(counted(&other, &call).await[2], (0, 2 * PRICE), "they are reserved as before");
    world.pass(TTL);
    let swept = other.sweep(&call.team).await.unwrap();
    assert_eq!((swept.released, swept.unknown), (0, 2), "the other may have been sent");
    assert_eq!(counted(&other, &call).await[2], (2 * PRICE, 0));
    let mut both = [sent, waiting];
    both.sort_unstable();
    assert_eq!(rows(&other, &call).await, both);
}

#[tokio::test]
async fn rows_and_usage_whose_time_was_over_are_no_loss() {
    let (world, call, seen) = (World::start().await, three_levels(), Arc::<Seen>::default());
    let two_days = Duration::from_secs(2 * 86_400);
    let retention = Retention { rows: two_days, usage: two_days, ..Retention::default() };
    let ledger = observed(Settings { retention, ..world.settings() }, seen.clone());
    pay(&ledger, &call).await;
    world.pass(two_days * 2);
    // Removes what Redis removes then.
    for gone in ["rows", USAGE] {
        world.server.run(&["DEL", &stored::key("design", gone)]).await;
    }
    ledger.sweep(&call.team).await.unwrap();
    assert_eq!(ledger.rows(&call.team, 0, 10).await.unwrap().rows, []);
    let first = "2026-11-20".parse().unwrap();
    assert_eq!(ledger.usage(&call.team, first..="2026-11-30".parse().unwrap()).await.unwrap(), []);
    pay(&ledger, &call).await;
    assert_eq!((seen.losses(), ledger.closed()), (vec![], vec![]));
    assert_eq!(rows(&ledger, &call).await.len(), 1);
}

#[tokio::test]
async fn what_was_restored_and_lost_again_is_restored_again() {
    let (world, call) = (World::start().await, three_levels());
    let ledger = world.replica();
    for _ in 0..5 {
        pay(&ledger, &call).await;
    }
    world.flush().await;
    assert!(is_closed(&ledger, &call).await);
    world.flush().await;
    world.pass(GATHERED);
    assert!(is_closed(&ledger, &call).await, "it opens with what was restored, or not at all");
    world.pass(GATHERED);
    assert_eq!(admit(&ledger, &call).await.unwrap(), None);
}
