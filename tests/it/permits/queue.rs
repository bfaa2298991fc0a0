//! The queue: teams share by weight, each in its own order, and a call that is gone keeps no
//! position.

use std::time::Duration;

use moongate::permits::{Ask, GIVE_BACK_WITHIN, Operation, POSITION_TTL, QueuePosition};

use super::harness::{Bench, MINUTE, Replica, call, is_granted, key_of, keys, per_minute};

fn ahead(position: &QueuePosition) -> u64 {
    match position {
        QueuePosition::Waiting { ahead, .. } => *ahead,
        QueuePosition::Granted { .. } | QueuePosition::Full | QueuePosition::Gone => {
            panic!("not waiting: {position:?}")
        }
    }
}

fn calls(team: &str, weight: u32, count: usize) -> Vec<Ask> {
    (0..count).map(|_| Ask { weight, ..call(team) }).collect()
}

/// A replica of an account whose minute is full.
async fn with_full_minute<B: Bench>(per: u64) -> (Replica, B) {
    let (replica, bench) = Replica::open::<B>().await;
    let replica = replica.limit(per_minute(per));
    replica.ask_all(&calls("other", 1, per as usize)).await;
    (replica, bench)
}

/// Lets a minute pass in which every waiting call keeps its position; the last request comes before
/// the next window opens.
async fn next_minute(replicas: &[(&Replica, &[Ask])]) {
    let step = POSITION_TTL / 2;
    let mut passed = Duration::ZERO;
    while passed < MINUTE {
        replicas[0].0.pass(step);
        passed += step;
        if passed < MINUTE {
            for (replica, asks) in replicas {
                replica
                    .send(&asks.iter().map(|ask| Operation::Wait(ask.id)).collect::<Vec<_>>())
                    .await;
            }
        }
    }
}

pub(crate) async fn a_teams_calls_pass_in_order<B: Bench>() {
    let (replica, bench) = with_full_minute::<B>(2).await;
    let other = replica.beside(&bench);
    let waiting = calls("design", 1, 4);
    for (number, ask) in waiting.iter().enumerate() {
        let position = if number % 2 == 0 { replica.ask(ask).await } else { other.ask(ask).await };
        assert_eq!(ahead(&position), number as u64);
    }
    next_minute(&[(&replica, &waiting)]).await;
    let passed = other.passed(&waiting).await;
    assert_eq!(passed, waiting[..2].iter().collect::<Vec<_>>());
    next_minute(&[(&replica, &waiting[2..])]).await;
    assert_eq!(replica.passed(&waiting[2..]).await.len(), 2);
}

/// The shares hold over two replicas, too.
pub(crate) async fn twice_the_weight_is_twice_the_calls<B: Bench>() {
    let (replica, bench) = with_full_minute::<B>(9).await;
    let other = replica.beside(&bench);
    // All of the lighter team's calls come first, half of each team's on each replica.
    let (light, heavy) = (calls("growth", 1, 30), calls("design", 2, 30));
    for asks in [&light, &heavy] {
        for (number, ask) in asks.iter().enumerate() {
            let replica = if number % 2 == 0 { &replica } else { &other };
            assert!(!is_granted(&replica.ask(ask).await));
        }
    }
    let all: Vec<Ask> = light.iter().chain(&heavy).cloned().collect();
    let (mut of_light, mut of_heavy) = (0, 0);
    for minute in 1..=3 {
        next_minute(&[(&replica, &all)]).await;
        let passed = other.passed(&all).await;
        of_light = passed.iter().filter(|ask| ask.team.as_str() == "growth").count();
        of_heavy = passed.len() - of_light;
        assert_eq!(passed.len(), minute * 9);
    }
    assert_eq!((of_light, of_heavy), (9, 18));
    assert_eq!(replica.passed(&light[..9]).await.len(), 9, "each team's calls in their order");
    assert_eq!(replica.passed(&heavy[..18]).await.len(), 18);
}

pub(crate) async fn a_team_that_asks_for_much_delays_no_other<B: Bench>() {
    let (replica, _bench) = with_full_minute::<B>(4).await;
    let flood = calls("growth", 1, 100);
    replica.ask_all(&flood).await;
    let few = calls("design", 1, 2);
    replica.ask_all(&few).await;
    let all: Vec<Ask> = flood.iter().chain(&few).cloned().collect();
    next_minute(&[(&replica, &all)]).await;
    assert_eq!(replica.passed(&few).await.len(), 2);
    assert_eq!(replica.passed(&flood).await.len(), 2);
}

pub(crate) async fn a_new_call_does_not_overtake_waiting_calls<B: Bench>() {
    let (replica, _bench) = with_full_minute::<B>(2).await;
    let waiting = calls("design", 1, 2);
    replica.ask_all(&waiting).await;
    next_minute(&[(&replica, &waiting)]).await;
    assert!(
        !is_granted(&replica.ask(&call("design")).await),
        "this minute is for the calls that waited"
    );
    assert_eq!(replica.passed(&waiting).await.len(), 2);
}

pub(crate) async fn a_call_waiting_for_a_full_key_delays_no_other<B: Bench>() {
    let (replica, _bench) = Replica::open::<B>().await;
    let replica = replica.limit_key("a", per_minute(1));
    replica.ask(&call("design")).await;
    assert!(!is_granted(&replica.ask(&call("design")).await));
    let other_key = Ask { keys: keys(&["b"]), ..call("growth") };
    assert_eq!(key_of(&replica.ask(&other_key).await), "b");
}

pub(crate) async fn a_call_that_leaves_the_queue_moves_the_next_up<B: Bench>() {
    let (replica, _bench) = with_full_minute::<B>(1).await;
    let waiting = calls("design", 1, 3);
    replica.ask_all(&waiting).await;
    replica.leave(&waiting[0]).await;
    assert_eq!(ahead(&replica.wait(&waiting[1]).await), 0);
    next_minute(&[(&replica, &waiting[1..])]).await;
    assert!(is_granted(&replica.wait(&waiting[1]).await));
    // A permit that is not used goes to the next at once.
    replica.leave(&waiting[1]).await;
    assert!(is_granted(&replica.wait(&waiting[2]).await));
    assert_eq!(replica.wait(&waiting[0]).await, QueuePosition::Gone);
}

pub(crate) async fn a_full_queue_or_team_share_takes_no_more<B: Bench>() {
    let (mut replica, _bench) = with_full_minute::<B>(1).await;
    (replica.limits.length_max, replica.limits.team_length_max) = (3, 2);
    let first = call("design");
    replica.ask(&first).await;
    replica.ask(&call("design")).await;
    assert_eq!(replica.ask(&call("design")).await, QueuePosition::Full);
    replica.ask(&call("growth")).await;
    assert_eq!(replica.ask(&call("growth")).await, QueuePosition::Full);
    replica.leave(&first).await;
    assert!(matches!(replica.ask(&call("growth")).await, QueuePosition::Waiting { .. }));
    assert_eq!(replica.ask(&call("design")).await, QueuePosition::Full);
}

pub(crate) async fn asking_twice_takes_one_position_and_one_permit<B: Bench>() {
    let (replica, _bench) = Replica::open::<B>().await;
    let replica = replica.limit(per_minute(2));
    let ask = call("design");
    replica.ask_all(&[ask.clone(), ask.clone()]).await;
    assert!(is_granted(&replica.ask(&ask).await));
    assert_eq!(replica.remaining().await[0].calls, 1);
    replica.ask(&call("design")).await;
    let late = call("design");
    replica.ask_all(&[late.clone(), late.clone()]).await;
    replica.ask(&late).await;
    assert_eq!(ahead(&replica.ask(&call("design")).await), 1);
}

pub(crate) async fn queue_positions_of_a_dead_replica_vanish<B: Bench>() {
    let (replica, bench) = with_full_minute::<B>(1).await;
    let dead = replica.beside(&bench);
    let lost = calls("design", 1, 5);
    dead.ask_all(&lost).await;
    let alive = call("design");
    assert_eq!(ahead(&replica.ask(&alive).await), 5);
    replica.pass(POSITION_TTL - Duration::from_micros(1));
    assert_eq!(ahead(&replica.wait(&alive).await), 5);
    replica.pass(Duration::from_micros(1));
    assert_eq!(ahead(&replica.wait(&alive).await), 0);
    assert_eq!(dead.wait(&lost[0]).await, QueuePosition::Gone);
}

pub(crate) async fn a_permit_its_replica_never_learned_of_is_given_back<B: Bench>() {
    let (replica, bench) = with_full_minute::<B>(1).await;
    let dead = replica.beside(&bench);
    let (lost, alive) = (call("design"), call("design"));
    dead.ask(&lost).await;
    replica.ask(&alive).await;
    next_minute(&[(&replica, &[lost.clone(), alive.clone()])]).await;
    assert!(!is_granted(&replica.wait(&alive).await), "the minute's permit went to the other");
    replica.pass(POSITION_TTL);
    assert!(is_granted(&replica.wait(&alive).await));
}

pub(crate) async fn a_permit_its_replica_knows_of_stays_taken<B: Bench>() {
    let (replica, _bench) = Replica::open::<B>().await;
    let replica = replica.limit(per_minute(1));
    replica.ask(&call("design")).await;
    replica.pass(GIVE_BACK_WITHIN);
    assert_eq!(replica.room(|| call("design")).await, 0, "it may have been used");
}

pub(crate) async fn a_call_turned_back_by_the_upstream_comes_first_again<B: Bench>() {
    let (replica, _bench) = with_full_minute::<B>(1).await;
    let waiting = calls("design", 1, 2);
    replica.ask_all(&waiting).await;
    let back = Ask { turned_back: true, ..call("design") };
    assert_eq!(ahead(&replica.ask(&back).await), 0);
    let all: Vec<Ask> = waiting.iter().chain([&back]).cloned().collect();
    next_minute(&[(&replica, &all)]).await;
    assert_eq!(replica.passed(&all).await, [&back]);
}

pub(crate) async fn a_waiting_call_may_come_to_use_another_key<B: Bench>() {
    let (replica, _bench) = Replica::open::<B>().await;
    let replica = replica.limit_key("a", per_minute(1));
    replica.ask(&call("design")).await;
    let waiting = call("design");
    assert!(!is_granted(&replica.ask(&waiting).await));
    let changed = Ask { keys: keys(&["a", "b"]), ..waiting };
    assert_eq!(key_of(&replica.ask(&changed).await), "b");
}
