//! What every store of claims and answers must do, against the one in memory and the one in Redis.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moongate::clock::Clock;
use moongate::idempotency::{Begun, Claim, LISTED_MAX, Memory, Store, StoredResponse};
use moongate::ledger::ReservationId;

use super::claims::{
    Handles, TTL, answer, claim, finished, id_of, kept, of, request, settings, team,
};
use super::redis::RedisBench;
use crate::support::redis::wait_until;

/// How long a claim lives whose end is waited for.
const BRIEF: Duration = Duration::from_millis(30);

fn in_memory() -> Handles {
    let memory = Arc::new(Memory::new(settings(), Clock::system()));
    [memory.clone(), memory]
}

async fn the_first_makes_the_call_and_duplicates_get_its_answer([one, other]: Handles) {
    let (first, second) = (claim("k", "{}", "r-1"), claim("k", "{}", "r-2"));
    assert_eq!(one.begin(&first, TTL).await.unwrap(), Begun::First);
    assert_eq!(other.begin(&second, TTL).await.unwrap(), Begun::Running);
    one.finish(&first, &of(&first, r#"{"images":[]}"#)).await.unwrap();
    for again in [&second, &claim("k", "{}", "r-1")] {
        assert_eq!(
            other.begin(again, TTL).await.unwrap(),
            finished(of(&first, r#"{"images":[]}"#))
        );
    }
    let found = other.fetch(&team("design"), first.id).await.unwrap();
    assert_eq!(found, Some(of(&first, r#"{"images":[]}"#)));
    assert_eq!(other.fetch(&team("design"), second.id).await.unwrap(), None, "it was never made");
}

async fn of_many_at_once_exactly_one_makes_the_call([one, other]: Handles) {
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..40 {
        let store = if number % 2 == 0 { one.clone() } else { other.clone() };
        calls.spawn(async move {
            store.begin(&claim("k", "{}", &format!("r-{number}")), TTL).await.unwrap()
        });
    }
    let begun = calls.join_all().await;
    assert_eq!(begun.iter().filter(|begun| **begun == Begun::First).count(), 1);
    assert_eq!(begun.iter().filter(|begun| **begun == Begun::Running).count(), 39);
}

async fn only_its_holder_can_give_back_a_key([one, other]: Handles) {
    let (first, second) = (claim("k", "{}", "r-1"), claim("k", "{}", "r-2"));
    assert_eq!(one.begin(&first, TTL).await.unwrap(), Begun::First);
    other.release(&second).await.unwrap();
    assert_eq!(other.begin(&second, TTL).await.unwrap(), Begun::Running);
    one.release(&first).await.unwrap();
    let different = claim("k", r#"{"prompt":"x"}"#, "r-3");
    assert_eq!(
        other.begin(&different, TTL).await.unwrap(),
        Begun::First,
        "as if it had never been used"
    );
    other.finish(&different, &of(&different, "{}")).await.unwrap();
    other.release(&different).await.unwrap();
    assert_eq!(
        one.begin(&different, TTL).await.unwrap(),
        finished(of(&different, "{}")),
        "what has ended stays ended"
    );
}

async fn another_body_under_the_same_key_is_told_apart([one, other]: Handles) {
    let (first, different) = (claim("k", "{}", "r-1"), claim("k", "{ }", "r-2"));
    assert_eq!(one.begin(&first, TTL).await.unwrap(), Begun::First);
    assert_eq!(other.begin(&different, TTL).await.unwrap(), Begun::Mismatch);
    one.finish(&first, &of(&first, "{}")).await.unwrap();
    assert_eq!(other.begin(&different, TTL).await.unwrap(), Begun::Mismatch);
}

async fn teams_share_neither_keys_nor_outcomes([one, other]: Handles) {
    let design = claim("k", "{}", "r-1");
    let growth = Claim { team: team("growth"), ..claim("k", "another", "r-1") };
    assert_eq!(one.begin(&design, TTL).await.unwrap(), Begun::First);
    assert_eq!(other.begin(&growth, TTL).await.unwrap(), Begun::First);
    one.finish(&design, &of(&design, "1")).await.unwrap();
    one.keep(&team("design"), &kept("r-2", "2")).await.unwrap();
    for id in [design.id, id_of("r-2")] {
        assert_eq!(other.fetch(&team("growth"), id).await.unwrap(), None);
        assert!(other.fetch(&team("design"), id).await.unwrap().is_some());
    }
    for carried in [None, Some(request("r-1")), Some(request("r-2"))] {
        assert_eq!(other.list(&team("growth"), carried.as_ref()).await.unwrap(), []);
        assert!(!other.list(&team("design"), carried.as_ref()).await.unwrap().is_empty());
    }
}

async fn every_step_can_be_repeated([one, other]: Handles) {
    let first = claim("k", "{}", "r-1");
    for store in [&one, &other] {
        assert_eq!(store.begin(&first, TTL).await.unwrap(), Begun::First);
    }
    for store in [&one, &other] {
        store.finish(&first, &of(&first, "{}")).await.unwrap();
        store.release(&first).await.unwrap();
        store.keep(&team("design"), &kept("r-2", "2")).await.unwrap();
        assert_eq!(store.begin(&first, TTL).await.unwrap(), finished(of(&first, "{}")));
        assert_eq!(
            store.fetch(&team("design"), id_of("r-2")).await.unwrap(),
            Some(kept("r-2", "2"))
        );
        assert_eq!(store.list(&team("design"), None).await.unwrap().len(), 2);
    }
}

async fn an_expired_claim_does_not_touch_its_successor([one, other]: Handles) {
    let (late, next) = (claim("k", "{}", "r-1"), claim("k", "{}", "r-2"));
    assert_eq!(one.begin(&late, BRIEF).await.unwrap(), Begun::First);
    wait_until("the claim is over", || async {
        other.begin(&next, TTL).await.unwrap() == Begun::First
    })
    .await;
    one.release(&late).await.unwrap();
    one.finish(&late, &of(&late, "1")).await.unwrap();
    let third = claim("k", "{}", "r-3");
    assert_eq!(one.begin(&third, TTL).await.unwrap(), Begun::Running);
    assert_eq!(
        one.fetch(&team("design"), late.id).await.unwrap(),
        Some(of(&late, "1")),
        "it was made"
    );
    other.finish(&next, &of(&next, "2")).await.unwrap();
    assert_eq!(one.begin(&third, TTL).await.unwrap(), finished(of(&next, "2")));
}

async fn an_expired_claim_that_nobody_took_can_still_finish([one, other]: Handles) {
    let late = claim("k", "{}", "r-1");
    assert_eq!(one.begin(&late, BRIEF).await.unwrap(), Begun::First);
    let watch = claim("k", "{}", "r-2");
    wait_until("the claim is over", || async {
        other.begin(&watch, Duration::from_millis(1)).await.unwrap() == Begun::First
    })
    .await;
    other.release(&watch).await.unwrap();
    one.finish(&late, &of(&late, "1")).await.unwrap();
    assert_eq!(other.begin(&watch, TTL).await.unwrap(), finished(of(&late, "1")));
}

/// Each keeps its own answer.
async fn all_calls_of_one_request_id_are_found([one, other]: Handles) {
    let (first, second) = (claim("k", "{}", "r-1"), claim("l", "{}", "r-1"));
    for (claim, body) in [(&first, "1"), (&second, "22")] {
        assert_eq!(one.begin(claim, TTL).await.unwrap(), Begun::First);
        one.finish(claim, &of(claim, body)).await.unwrap();
    }
    let third = answer(ReservationId::new(), "r-1", "");
    one.keep(&team("design"), &third).await.unwrap();
    let fourth = StoredResponse { body: None, ..answer(ReservationId::new(), "r-1", "") };
    one.keep(&team("design"), &fourth).await.unwrap();
    one.keep(&team("design"), &kept("r-2", "another")).await.unwrap();
    for (claim, body) in [(&first, "1"), (&second, "22")] {
        assert_eq!(other.fetch(&team("design"), claim.id).await.unwrap(), Some(of(claim, body)));
        assert_eq!(other.begin(claim, TTL).await.unwrap(), finished(of(claim, body)));
    }
    let listed = other.list(&team("design"), Some(&request("r-1"))).await.unwrap();
    let newest_first =
        [fourth, third, of(&second, "22"), of(&first, "1")].map(|kept| kept.summary().unwrap());
    assert_eq!(listed, newest_first);
    assert_eq!(
        listed.iter().map(|kept| kept.body_bytes).collect::<Vec<_>>(),
        [None, Some(0), Some(2), Some(1)]
    );
    let all = other.list(&team("design"), None).await.unwrap();
    assert_eq!((all.len(), &all[..4], all[4].request_id.as_str()), (5, &newest_first[..], "r-2"));
    assert_eq!(other.list(&team("design"), Some(&request("r-3"))).await.unwrap(), []);
}

async fn the_newest_calls_are_listed_and_older_found_by_id([one, other]: Handles) {
    let calls = LISTED_MAX + 5;
    for number in 0..calls {
        let id = id_of(&format!("r-{number}"));
        one.keep(&team("design"), &answer(id, "r-1", "")).await.unwrap();
    }
    for carried in [None, Some(request("r-1"))] {
        let listed = other.list(&team("design"), carried.as_ref()).await.unwrap();
        let ids: Vec<_> = listed.iter().map(|kept| kept.call.id).collect();
        let newest: Vec<_> = (5..calls).rev().map(|number| id_of(&format!("r-{number}"))).collect();
        assert_eq!(ids, newest);
    }
    assert!(other.fetch(&team("design"), id_of("r-0")).await.unwrap().is_some());
}

/// Waits until a brief claim is over; the time of whatever was claimed for as long before it is
/// over as well.
async fn until_a_brief_claim_is_over(store: &Arc<dyn Store>, key: &'static str) {
    let (first, next) = (claim(key, "{}", "w-1"), claim(key, "{}", "w-2"));
    assert_eq!(store.begin(&first, BRIEF).await.unwrap(), Begun::First);
    wait_until("the claim is over", || async {
        store.begin(&next, TTL).await.unwrap() == Begun::First
    })
    .await;
}

async fn a_sent_call_keeps_its_key_until_it_ends([one, other]: Handles) {
    let (first, second) = (claim("k", "{}", "r-1"), claim("k", "{}", "r-2"));
    assert_eq!(one.begin(&first, BRIEF).await.unwrap(), Begun::First);
    // The claim's own time does not matter while nobody else comes.
    until_a_brief_claim_is_over(&one, "watch").await;
    for store in [&one, &other] {
        assert!(store.sent(&first, BRIEF).await.unwrap());
    }
    until_a_brief_claim_is_over(&one, "another watch").await;
    assert_eq!(other.begin(&second, TTL).await.unwrap(), Begun::Running);
    assert!(!other.sent(&second, TTL).await.unwrap(), "the key is another team's");
    one.release(&first).await.unwrap();
    assert_eq!(
        other.begin(&second, TTL).await.unwrap(),
        Begun::First,
        "it was turned back, and nothing was spent"
    );
    assert!(!one.sent(&first, TTL).await.unwrap());
    assert!(other.sent(&second, TTL).await.unwrap());
    other.finish(&second, &of(&second, "{}")).await.unwrap();
    assert_eq!(one.begin(&first, TTL).await.unwrap(), finished(of(&second, "{}")));
}

async fn a_call_whose_outcome_is_lost_is_not_made_again([one, other]: Handles) {
    let (first, second) = (claim("k", "{}", "r-1"), claim("k", "{}", "r-2"));
    assert_eq!(one.begin(&first, TTL).await.unwrap(), Begun::First);
    assert!(one.sent(&first, TTL).await.unwrap());
    other.mark_lost(&second).await.unwrap();
    assert_eq!(
        other.begin(&second, TTL).await.unwrap(),
        Begun::Running,
        "only its holder can lose it"
    );
    one.mark_lost(&first).await.unwrap();
    assert_eq!(other.begin(&second, TTL).await.unwrap(), Begun::Lost);
    assert_eq!(other.begin(&claim("k", "[]", "r-3"), TTL).await.unwrap(), Begun::Mismatch);
    assert_eq!(other.fetch(&team("design"), first.id).await.unwrap(), None);
}

async fn bodies_are_bounded_and_outcomes_outlive_them([one, other]: Handles) {
    let body = "x".repeat(100);
    for number in 0..5 {
        // One place is written twice: its first body counts no more.
        let id = format!("r-{}", number.max(1));
        one.keep(&team("design"), &kept(&id, &body)).await.unwrap();
    }
    for (id, whole) in [("r-1", false), ("r-2", false), ("r-3", true), ("r-4", true)] {
        let found = other.fetch(&team("design"), id_of(id)).await.unwrap().unwrap();
        assert_eq!(
            found,
            StoredResponse { body: whole.then(|| Bytes::from(body.clone())), ..kept(id, "") },
            "{id}"
        );
    }
    let without = StoredResponse { body: None, ..kept("r-9", "") };
    one.keep(&team("design"), &without).await.unwrap();
    assert_eq!(other.fetch(&team("design"), id_of("r-9")).await.unwrap(), Some(without));
    one.keep(&team("design"), &kept("r-10", "")).await.unwrap();
    assert_eq!(other.fetch(&team("design"), id_of("r-10")).await.unwrap(), Some(kept("r-10", "")));
}

macro_rules! on_both_stores {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $case() { super::$case(super::in_memory()).await; })*
        }
        mod redis {
            $(#[tokio::test] async fn $case() {
                let bench = super::RedisBench::start().await;
                super::$case(bench.handles()).await;
                bench.assert_that_everything_expires().await;
            })*
        }
    };
}

on_both_stores! {
    the_first_makes_the_call_and_duplicates_get_its_answer,
    of_many_at_once_exactly_one_makes_the_call,
    only_its_holder_can_give_back_a_key,
    another_body_under_the_same_key_is_told_apart,
    teams_share_neither_keys_nor_outcomes,
    every_step_can_be_repeated,
    an_expired_claim_does_not_touch_its_successor,
    an_expired_claim_that_nobody_took_can_still_finish,
    all_calls_of_one_request_id_are_found,
    the_newest_calls_are_listed_and_older_found_by_id,
    a_sent_call_keeps_its_key_until_it_ends,
    a_call_whose_outcome_is_lost_is_not_made_again,
    bodies_are_bounded_and_outcomes_outlive_them,
}
