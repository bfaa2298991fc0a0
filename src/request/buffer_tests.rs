//! Shares of the memory for bodies, and answers that wait for room.

use std::collections::{HashMap, HashSet};
use std::task::{Context, Poll, Waker};

use jiff::tz::TimeZone;

use super::*;
use crate::pricing::PriceTable;
use crate::team::{ModelRules, State, Team};

const KIB: u64 = 1024;

fn team(name: &str) -> TeamId {
    TeamId::parse(name).expect(name)
}

fn model() -> ModelId {
    ModelId::parse("flux/dev").expect("a model")
}

/// Teams of these weights.
fn teams(weights: &[(&str, u32)]) -> HashMap<TeamId, Arc<Team>> {
    let of = |(name, weight): &(&str, u32)| {
        let team = Team {
            id: team(name),
            state: State::Active,
            suspended_users: HashSet::default(),
            models: ModelRules::default(),
            limits: Arc::default(),
            user_limits: Arc::default(),
            weight: *weight,
            time_zone: TimeZone::UTC,
            prices: Arc::new(PriceTable::default()),
        };
        (team.id.clone(), Arc::new(team))
    };
    weights.iter().map(of).collect()
}

/// A buffer of this many KiB for requests and as many for answers, shared by two teams.
fn buffer(half: u64) -> Buffer {
    Buffer::new(2 * half * KIB, 1, Live::new(Shares::of(&teams(&[("a", 1), ("b", 3)]), None)))
}

fn is_waiting<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
    matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
}

fn take(buffer: &Buffer, name: &str, kib: usize) -> Result<Arc<AnswerPermit>, Refusal> {
    buffer.take(&team(name), kib * 1024)
}

#[test]
fn a_team_at_its_bound_leaves_the_others_their_shares() {
    let buffer = buffer(100);
    let requests: Vec<_> = std::iter::from_fn(|| buffer.hold(&team("a"), KIB).ok()).collect();
    let answers: Vec<_> = std::iter::from_fn(|| take(&buffer, "a", 1).ok()).collect();
    assert_eq!(
        (requests.len(), answers.len()),
        (50, 50),
        "as much as it leaves, more than its quarter"
    );
    assert!(buffer.hold(&team("b"), 50 * KIB).is_ok() && take(&buffer, "b", 50).is_ok());
    assert_eq!(buffer.claim(&team("a"), &model()).map(drop), Err(Refusal::Overloaded));
    drop((requests, answers));
    assert!(take(&buffer, "a", 100).is_ok());
}

#[test]
fn a_body_returns_the_room_it_did_not_need() {
    let buffer = buffer(100);
    let mut held = buffer.hold(&team("a"), 64 * KIB).expect("room");
    held.grow(30 * KIB).expect("room for one large body");
    held.shrink(1);
    let _second = buffer.hold(&team("a"), 49 * KIB).expect("room");
    assert!(buffer.hold(&team("a"), KIB).is_err());
}

#[test]
fn a_claim_is_as_large_as_answers_were_lately() {
    let buffer = buffer(1000);
    let first = buffer.claim(&team("a"), &model()).expect("room");
    assert_eq!(first.bytes(), USUAL_BYTES);
    assert!(first.grow(300 * KIB));
    first.settle(300 * 1024);
    drop(first);
    let second = buffer.claim(&team("a"), &model()).expect("room");
    assert_eq!(second.bytes(), 300 * KIB);
    second.settle(10);
    assert_eq!(second.bytes(), KIB);
    assert_eq!(
        buffer.claim(&team("b"), &model()).expect("room").bytes(),
        USUAL_BYTES,
        "another team's are others"
    );
}

#[tokio::test]
async fn an_oversized_answer_goes_beyond_the_buffer_and_blocks_nobody() {
    let buffer = buffer(100);
    let answer_permit = buffer.claim(&team("a"), &model()).expect("room");
    answer_permit.hold(5000 * KIB).await;
    answer_permit.settle(5000 * 1024);
    assert_eq!(answer_permit.bytes(), 5000 * KIB);
    assert!(take(&buffer, "b", 70).is_ok(), "the other team has its memory");
    assert!(take(&buffer, "a", 1).is_err(), "its own team has more than its share");
    drop(answer_permit);
    assert!(take(&buffer, "a", 100).is_ok());
}

#[tokio::test]
async fn of_answers_that_outgrow_the_buffer_one_always_finishes() {
    let buffer = buffer(70);
    let [first, second, third] = [(); 3].map(|()| buffer.claim(&team("a"), &model()));
    let (first, second) = (first.expect("room"), second.expect("room"));
    assert!(third.is_err(), "its share, or what it leaves, is taken");
    first.hold(60 * KIB).await;
    let mut waiting = Box::pin(second.hold(60 * KIB));
    assert!(is_waiting(waiting.as_mut()));
    assert!(take(&buffer, "a", 0).is_err(), "no call of its team while one waits");
    assert!(take(&buffer, "b", 1).is_ok());
    first.settle(60 * 1024);
    assert!(is_waiting(waiting.as_mut()), "there is no room yet");
    drop(first);
    waiting.await;
    assert!(second.waited() > std::time::Duration::ZERO && second.bytes() >= 60 * KIB);
    second.settle(10 * 1024);
    drop(second);
    assert!(take(&buffer, "a", 70).is_ok(), "all of it is back");
}

#[tokio::test]
async fn one_teams_waiting_answers_do_not_block_anothers() {
    let buffer = buffer(70);
    let [of_a, next_of_a, of_b] =
        ["a", "a", "b"].map(|name| buffer.claim(&team(name), &model()).expect("room"));
    of_a.hold(500 * KIB).await;
    let mut waiting = Box::pin(next_of_a.hold(500 * KIB));
    assert!(is_waiting(waiting.as_mut()));
    of_b.hold(500 * KIB).await;
}

#[test]
fn a_reload_keeps_what_is_taken_and_changes_the_shares() {
    let live = Live::new(Shares::of(&teams(&[("a", 1), ("b", 1)]), None));
    let buffer = Buffer::new(200 * KIB, 1, live.clone());
    let _b = take(&buffer, "b", 50).expect("room");
    let a = take(&buffer, "a", 40).expect("room");
    live.replace(Shares::of(&teams(&[("a", 1), ("b", 9)]), Some(&live.read())));
    assert!(take(&buffer, "a", 1).is_err(), "its share is less by now");
    drop(a);
    assert!(take(&buffer, "a", 10).is_ok());
}
