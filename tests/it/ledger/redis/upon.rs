//! Losses that meet other faults: a replica that comes late, an older copy after a loss, marks and
//! ends that are gone.

use moongate::ledger::Outage;

use super::losses::all_end;
use super::lost::world::{GATHERED, World, admit, budgeted, counted, is_closed, pay};
use super::{left_behind, parts, stored};
use crate::ledger::conformance::TTL;
use crate::support::stored::Copy;

#[tokio::test]
async fn a_call_sent_since_the_older_copy_is_charged() {
    let (world, call) = (World::start().await, left_behind::ten());
    let (dead, survivor) = (world.replica(), world.replica());
    let id = left_behind::open(&dead, &call.clone().waiting()).await;
    let copy = Copy::of(&world.server).await;
    assert!(dead.dispatch(&call.team, id).await.unwrap());
    // The survivor sees that something was marked, but not what.
    assert_eq!(counted(&survivor, &call).await, left_behind::counts(0, 1));
    drop(dead);
    left_behind::lose(&world, Some(&copy), &survivor).await;
    world.pass(TTL);
    assert_eq!(left_behind::sweep(&survivor).await.unknown, 1);
    assert_eq!(counted(&survivor, &call).await, left_behind::counts(1, 0));
}

#[tokio::test]
async fn an_older_copy_is_noticed_on_either_side_of_losses() {
    for from_before in [true, false] {
        let (world, call) = (World::start().await, budgeted());
        let (one, other) = (world.replica(), world.replica());
        let mut paid = vec![pay(&one, &call).await];
        let before = Copy::of(&world.server).await;
        paid.push(pay(&other, &call).await);
        let running = [
            admit(&one, &call).await.unwrap().unwrap(),
            admit(&other, &call).await.unwrap().unwrap(),
        ];
        world.flush().await;
        assert!(is_closed(&one, &call).await && is_closed(&other, &call).await);
        world.pass(GATHERED);
        paid.push(pay(&one, &call).await);
        let since = Copy::of(&world.server).await;
        paid.push(pay(&other, &call).await);
        if from_before { before } else { since }.load_into(&world.server).await;
        assert!(is_closed(&other, &call).await && is_closed(&one, &call).await, "{from_before}");
        world.pass(GATHERED);
        all_end([&other, &one], &call, running, paid).await;
    }
}

#[tokio::test]
async fn a_sweep_notices_a_missing_list_of_ends() {
    parts::a_key_beside_is_noticed_by("ends", &[parts::Next::Sweep]).await;
}

#[tokio::test]
async fn users_whose_ends_were_lost_are_still_forgotten() {
    let (world, call) = (World::start().await, parts::three_levels());
    let ledger = world.replica();
    pay(&ledger, &call).await;
    world.server.run(&["DEL", &stored::key("design", "ends")]).await;
    let _: Result<_, Outage> = ledger.sweep(&call.team).await;
    world.pass(GATHERED);
    pay(&ledger, &call).await;
    // A while after the end of the month.
    world.pass(GATHERED * 200_000);
    ledger.sweep(&call.team).await.unwrap();
    let now = world.clock.now();
    assert_eq!(stored::is_kept_for(&world.server, "design", "user:ana", now).await, -2);
}

#[tokio::test]
async fn usage_that_is_gone_is_noticed_by_a_reader() {
    parts::a_key_beside_is_noticed_by(parts::USAGE, &[parts::Next::Usage]).await;
}
