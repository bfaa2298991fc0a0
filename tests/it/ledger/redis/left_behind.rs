//! A replica dies and the store loses what it had reserved. A replica that has seen the counts
//! restores them, spent and reserved. The sweep ends reservations that no replica claims. Never is
//! too little charged.

use std::collections::BTreeMap;
use std::sync::Arc;

use moongate::ledger::{Ledger, OnUnknown, Outcome, ReservationId, Row, Settled, Swept};
use moongate::team::LimitKind;

use super::handle;
use super::lost::world::{GATHERED, World, admit, budgeted, counted, is_closed, pay, settle};
use crate::ledger::conformance::TTL;
use crate::ledger::conformance::harness::{Call, PRICE, credits, limit};
use crate::support::stored::Copy;

/// A call under budgets for ten, of the team and of its user.
pub(super) fn ten() -> Call {
    budgeted().user("ana", [limit(LimitKind::CreditsTotal, 10 * PRICE)])
}

/// The counts of all limits after this many calls were spent and reserved.
pub(super) fn counts(spent: u64, reserved: u64) -> Vec<(u64, u64)> {
    let credits = (spent * PRICE, reserved * PRICE);
    vec![(spent, reserved), credits, credits]
}

/// Calls that a replica makes which is gone then.
pub(super) async fn open(ledger: &Arc<dyn Ledger>, call: &Call) -> ReservationId {
    admit(ledger, call).await.unwrap().expect("there is room")
}

/// The store is emptied, or is an older one; this is noticed, and budgets open again.
pub(super) async fn lose(world: &World, copy: Option<&Copy>, survivor: &Arc<dyn Ledger>) {
    match copy {
        Some(copy) => copy.load_into(&world.server).await,
        None => world.flush().await,
    }
    assert!(is_closed(survivor, &ten()).await);
    world.pass(GATHERED);
    assert!(!is_closed(survivor, &ten()).await);
}

/// Ends all that is overdue.
pub(super) async fn sweep(ledger: &Arc<dyn Ledger>) -> Swept {
    let mut swept = Swept::default();
    loop {
        let more = ledger.sweep(&ten().team).await.unwrap();
        if more == Swept::default() {
            return swept;
        }
        swept.released += more.released;
        swept.refused += more.refused;
        swept.unknown += more.unknown;
    }
}

async fn rows(ledger: &Arc<dyn Ledger>) -> BTreeMap<ReservationId, Row> {
    let rows = ledger.rows(&ten().team, 0, 1_000).await.unwrap().rows;
    let count = rows.len();
    let by_id: BTreeMap<_, _> = rows.into_iter().map(|row| (row.id, row)).collect();
    assert_eq!(by_id.len(), count, "no call has two rows");
    by_id
}

/// The holds become unknown when their time is over.
#[tokio::test]
async fn a_dead_replicas_holds_outlive_a_flush() {
    let (world, call) = (World::start().await, ten());
    let (dead, survivor) = (world.replica(), world.replica());
    pay(&dead, &call).await;
    for _ in 0..3 {
        open(&dead, &call).await;
    }
    let own = open(&survivor, &call).await;
    assert_eq!(counted(&survivor, &call).await, counts(1, 4));
    drop(dead);
    lose(&world, None, &survivor).await;
    assert_eq!(counted(&survivor, &call).await, counts(1, 4), "spent and reserved");
    for _ in 0..5 {
        pay(&survivor, &call).await;
    }
    assert_eq!(
        admit(&survivor, &call).await.unwrap(),
        None,
        "what is reserved is not free to be spent"
    );
    assert_eq!(settle(&survivor, &call, own).await, Ok(Settled::Now(credits(PRICE))));
    world.pass(TTL);
    assert_eq!(sweep(&survivor).await, Swept { unknown: 3, ..Swept::default() });
    assert_eq!(counted(&survivor, &call).await, counts(10, 0));
    assert_eq!(admit(&survivor, &call).await.unwrap(), None, "they were charged");
    let rows = rows(&survivor).await;
    let unknown: Vec<&Row> = rows.values().filter(|row| row.outcome == Outcome::Unknown).collect();
    let money: Vec<_> = unknown.iter().map(|row| (row.reserved, row.charged)).collect();
    assert_eq!(money, [(credits(PRICE), credits(PRICE)); 3], "each has a row");
    // The dead one's first call had ended: of that only it knew the row.
    assert_eq!(rows.len(), 3 + 5 + 1);
    assert_eq!(world.replica().open(&call.team).await.unwrap(), 0);
}

#[tokio::test]
async fn an_unclaimed_hold_lasts_until_its_deadline() {
    let (world, call) = (World::start().await, ten());
    let (dead, survivor) = (world.replica(), world.replica());
    open(&dead, &call).await;
    assert_eq!(counted(&survivor, &call).await, counts(0, 1));
    drop(dead);
    lose(&world, None, &survivor).await;
    assert_eq!(sweep(&survivor).await, Swept::default(), "its owner may still be alive");
    assert_eq!(counted(&survivor, &call).await, counts(0, 1));
    world.pass(TTL);
    assert_eq!(sweep(&survivor).await.unknown, 1);
    assert_eq!(sweep(&world.replica()).await, Swept::default(), "it ends once");
    assert_eq!(counted(&world.replica(), &call).await, counts(1, 0));
}

/// The holds become unknown when their time is over.
#[tokio::test]
async fn a_dead_replicas_holds_outlive_an_older_copy() {
    let (world, call) = (World::start().await, ten());
    let (dead, survivor) = (world.replica(), world.replica());
    pay(&dead, &call).await;
    let sent = open(&dead, &call).await;
    let copy = Copy::of(&world.server).await;
    open(&dead, &call).await;
    pay(&dead, &call).await;
    assert_eq!(counted(&survivor, &call).await, counts(2, 2));
    drop(dead);
    lose(&world, Some(&copy), &survivor).await;
    assert_eq!(counted(&survivor, &call).await, counts(2, 2));
    world.pass(TTL);
    assert_eq!(sweep(&survivor).await.unknown, 2);
    assert_eq!(counted(&survivor, &call).await, counts(4, 0));
    let rows = rows(&survivor).await;
    assert_eq!(rows[&sent].outcome, Outcome::Unknown, "the copy has that one, by its name");
    let unknown = rows
        .values()
        .filter(|row| row.outcome == Outcome::Unknown && row.charged == credits(PRICE));
    assert_eq!(unknown.count(), 2);
}

/// The call ended since the older copy was made.
#[tokio::test]
async fn a_call_seen_to_end_is_charged_once() {
    let (world, call) = (World::start().await, ten());
    let (dead, survivor) = (world.replica(), world.replica());
    let ends = open(&dead, &call).await;
    let copy = Copy::of(&world.server).await;
    assert_eq!(settle(&dead, &call, ends).await, Ok(Settled::Now(credits(PRICE))));
    assert_eq!(counted(&survivor, &call).await, counts(1, 0));
    drop(dead);
    lose(&world, Some(&copy), &survivor).await;
    assert_eq!(counted(&survivor, &call).await, counts(1, 0));
    world.pass(TTL);
    sweep(&survivor).await;
    assert_eq!(
        counted(&survivor, &call).await,
        counts(1, 0),
        "the copy has it open, but its end is known"
    );
}

/// The call may have been sent since.
#[tokio::test]
async fn a_call_that_waits_in_an_older_copy_becomes_unknown() {
    let (world, call) = (World::start().await, ten());
    let (dead, survivor) = (world.replica(), world.replica());
    let waiting = open(&dead, &call.clone().waiting()).await;
    let copy = Copy::of(&world.server).await;
    let sent = open(&dead, &call).await;
    assert_eq!(counted(&survivor, &call).await, counts(0, 2));
    drop(dead);
    lose(&world, Some(&copy), &survivor).await;
    assert_eq!(counted(&survivor, &call).await, counts(0, 2));
    world.pass(TTL);
    assert_eq!(sweep(&survivor).await, Swept { unknown: 2, ..Swept::default() });
    assert_eq!(counted(&survivor, &call).await, counts(2, 0));
    let rows = rows(&survivor).await;
    assert_eq!(
        (rows[&waiting].outcome, rows[&waiting].charged),
        (Outcome::Unknown, credits(PRICE))
    );
    assert!(
        !rows.contains_key(&sent) && rows.len() == 2,
        "no replica knows the name of the other any more"
    );
}

#[tokio::test]
async fn a_free_unknown_end_leaves_a_row_and_no_charge() {
    let (world, call) = (World::start().await, ten());
    let free = || {
        handle(moongate::ledger::redis::Settings {
            on_unknown: OnUnknown::Release,
            ..world.settings()
        })
    };
    let (dead, survivor) = (free(), free());
    open(&dead, &call).await;
    counted(&survivor, &call).await;
    drop(dead);
    lose(&world, None, &survivor).await;
    world.pass(TTL);
    assert_eq!(sweep(&survivor).await.unknown, 1);
    let row = rows(&survivor).await.into_values().next().unwrap();
    assert_eq!(
        (row.outcome, row.reserved, row.charged),
        (Outcome::Unknown, credits(PRICE), credits(0))
    );
    assert_eq!(counted(&survivor, &call).await, [(1, 0), (0, 0), (0, 0)]);
}
