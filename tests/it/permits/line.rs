//! The line: teams share by weight, each in its own order, and nobody keeps a place who is gone.

use std::time::Duration;

use moongate::permits::{Ask, GIVE_BACK_WITHIN, Operation, PLACE_TTL, QueuePosition};

use super::harness::{Bench, Desk, MINUTE, call, is_granted, key_of, keys, per_minute};

fn ahead(place: &QueuePosition) -> u64 {
    match place {
        QueuePosition::Waiting { ahead, .. } => *ahead,
        QueuePosition::Granted { .. } | QueuePosition::Full | QueuePosition::Gone => panic!("not waiting: {place:?}"),
    }
}

fn calls(team: &str, weight: u32, count: usize) -> Vec<Ask> {
    (0..count).map(|_| Ask { weight, ..call(team) }).collect()
}

/// A desk whose minute is full.
async fn full<B: Bench>(per: u64) -> (Desk, B) {
    let (desk, bench) = Desk::open::<B>().await;
    let desk = desk.limit(per_minute(per));
    desk.ask_all(&calls("other", 1, per as usize)).await;
    (desk, bench)
}

/// Lets a minute pass in which every call that waits is spoken of, and one call more is not asked.
async fn next_minute(desks: &[(&Desk, &[Ask])]) {
    let step = PLACE_TTL / 2;
    let mut passed = Duration::ZERO;
    while passed < MINUTE {
        desks[0].0.pass(step);
        passed += step;
        if passed < MINUTE {
            for (desk, asks) in desks {
                desk.say(&asks.iter().map(|ask| Operation::Wait(ask.id)).collect::<Vec<_>>()).await;
            }
        }
    }
}

pub(crate) async fn the_calls_of_a_team_pass_in_the_order_in_which_they_came<B: Bench>() {
    let (desk, bench) = full::<B>(2).await;
    let other = desk.beside(&bench);
    let waiting = calls("design", 1, 4);
    for (number, ask) in waiting.iter().enumerate() {
        let place = if number % 2 == 0 { desk.ask(ask).await } else { other.ask(ask).await };
        assert_eq!(ahead(&place), number as u64);
    }
    next_minute(&[(&desk, &waiting)]).await;
    let passed = other.passed(&waiting).await;
    assert_eq!(passed, waiting[..2].iter().collect::<Vec<_>>());
    next_minute(&[(&desk, &waiting[2..])]).await;
    assert_eq!(desk.passed(&waiting[2..]).await.len(), 2);
}

pub(crate) async fn twice_the_weight_is_twice_the_calls_also_over_two_replicas<B: Bench>() {
    let (desk, bench) = full::<B>(9).await;
    let other = desk.beside(&bench);
    // All of the lighter team's calls come first, half of each team's on each replica.
    let (light, heavy) = (calls("growth", 1, 30), calls("design", 2, 30));
    for asks in [&light, &heavy] {
        for (number, ask) in asks.iter().enumerate() {
            let desk = if number % 2 == 0 { &desk } else { &other };
            assert!(!is_granted(&desk.ask(ask).await));
        }
    }
    let all: Vec<Ask> = light.iter().chain(&heavy).cloned().collect();
    let (mut of_light, mut of_heavy) = (0, 0);
    for minute in 1..=3 {
        next_minute(&[(&desk, &all)]).await;
        let passed = other.passed(&all).await;
        of_light = passed.iter().filter(|ask| ask.team.as_str() == "growth").count();
        of_heavy = passed.len() - of_light;
        assert_eq!(passed.len(), minute * 9);
    }
    assert_eq!((of_light, of_heavy), (9, 18));
    assert_eq!(desk.passed(&light[..9]).await.len(), 9, "each team's calls in their order");
    assert_eq!(desk.passed(&heavy[..18]).await.len(), 18);
}

pub(crate) async fn a_team_that_asks_for_much_delays_no_other<B: Bench>() {
    let (desk, _bench) = full::<B>(4).await;
    let flood = calls("growth", 1, 100);
    desk.ask_all(&flood).await;
    let few = calls("design", 1, 2);
    desk.ask_all(&few).await;
    let all: Vec<Ask> = flood.iter().chain(&few).cloned().collect();
    next_minute(&[(&desk, &all)]).await;
    assert_eq!(desk.passed(&few).await.len(), 2);
    assert_eq!(desk.passed(&flood).await.len(), 2);
}

pub(crate) async fn who_comes_when_others_wait_does_not_overtake_them<B: Bench>() {
    let (desk, _bench) = full::<B>(2).await;
    let waiting = calls("design", 1, 2);
    desk.ask_all(&waiting).await;
    next_minute(&[(&desk, &waiting)]).await;
    assert!(!is_granted(&desk.ask(&call("design")).await), "the minute belongs to those who waited");
    assert_eq!(desk.passed(&waiting).await.len(), 2);
}

pub(crate) async fn who_waits_only_for_a_full_key_holds_up_nobody<B: Bench>() {
    let (desk, _bench) = Desk::open::<B>().await;
    let desk = desk.limit_key("a", per_minute(1));
    desk.ask(&call("design")).await;
    assert!(!is_granted(&desk.ask(&call("design")).await));
    let other_key = Ask { keys: keys(&["b"]), ..call("growth") };
    assert_eq!(key_of(&desk.ask(&other_key).await), "b");
}

pub(crate) async fn who_leaves_the_line_frees_the_place_for_the_next<B: Bench>() {
    let (desk, _bench) = full::<B>(1).await;
    let waiting = calls("design", 1, 3);
    desk.ask_all(&waiting).await;
    desk.leave(&waiting[0]).await;
    assert_eq!(ahead(&desk.wait(&waiting[1]).await), 0);
    next_minute(&[(&desk, &waiting[1..])]).await;
    assert!(is_granted(&desk.wait(&waiting[1]).await));
    // A permit that is not used goes to the next at once.
    desk.leave(&waiting[1]).await;
    assert!(is_granted(&desk.wait(&waiting[2]).await));
    assert_eq!(desk.wait(&waiting[0]).await, QueuePosition::Gone);
}

pub(crate) async fn a_full_line_takes_nobody_and_a_full_team_nobody_of_the_team<B: Bench>() {
    let (mut desk, _bench) = full::<B>(1).await;
    (desk.limits.length_max, desk.limits.team_length_max) = (3, 2);
    let first = call("design");
    desk.ask(&first).await;
    desk.ask(&call("design")).await;
    assert_eq!(desk.ask(&call("design")).await, QueuePosition::Full);
    desk.ask(&call("growth")).await;
    assert_eq!(desk.ask(&call("growth")).await, QueuePosition::Full);
    desk.leave(&first).await;
    assert!(matches!(desk.ask(&call("growth")).await, QueuePosition::Waiting { .. }));
    assert_eq!(desk.ask(&call("design")).await, QueuePosition::Full);
}

pub(crate) async fn asking_twice_takes_one_place_and_one_permit<B: Bench>() {
    let (desk, _bench) = Desk::open::<B>().await;
    let desk = desk.limit(per_minute(2));
    let ask = call("design");
    desk.ask_all(&[ask.clone(), ask.clone()]).await;
    assert!(is_granted(&desk.ask(&ask).await));
    assert_eq!(desk.remaining().await[0].calls, 1);
    desk.ask(&call("design")).await;
    let late = call("design");
    desk.ask_all(&[late.clone(), late.clone()]).await;
    desk.ask(&late).await;
    assert_eq!(ahead(&desk.ask(&call("design")).await), 1);
}

pub(crate) async fn the_places_of_a_dead_replica_vanish<B: Bench>() {
    let (desk, bench) = full::<B>(1).await;
    let dead = desk.beside(&bench);
    let lost = calls("design", 1, 5);
    dead.ask_all(&lost).await;
    let alive = call("design");
    assert_eq!(ahead(&desk.ask(&alive).await), 5);
    desk.pass(PLACE_TTL - Duration::from_micros(1));
    assert_eq!(ahead(&desk.wait(&alive).await), 5);
    desk.pass(Duration::from_micros(1));
    assert_eq!(ahead(&desk.wait(&alive).await), 0);
    assert_eq!(dead.wait(&lost[0]).await, QueuePosition::Gone);
}

pub(crate) async fn a_permit_that_nobody_heard_of_is_given_back<B: Bench>() {
    let (desk, bench) = full::<B>(1).await;
    let dead = desk.beside(&bench);
    let (lost, alive) = (call("design"), call("design"));
    dead.ask(&lost).await;
    desk.ask(&alive).await;
    next_minute(&[(&desk, &[lost.clone(), alive.clone()])]).await;
    assert!(!is_granted(&desk.wait(&alive).await), "the minute's permit went to the other");
    desk.pass(PLACE_TTL);
    assert!(is_granted(&desk.wait(&alive).await));
}

pub(crate) async fn a_permit_that_was_heard_of_stays_taken<B: Bench>() {
    let (desk, _bench) = Desk::open::<B>().await;
    let desk = desk.limit(per_minute(1));
    desk.ask(&call("design")).await;
    desk.pass(GIVE_BACK_WITHIN);
    assert_eq!(desk.room(|| call("design")).await, 0, "it may have been used");
}

pub(crate) async fn who_is_turned_back_by_the_upstream_comes_first_again<B: Bench>() {
    let (desk, _bench) = full::<B>(1).await;
    let waiting = calls("design", 1, 2);
    desk.ask_all(&waiting).await;
    let back = Ask { turned_back: true, ..call("design") };
    assert_eq!(ahead(&desk.ask(&back).await), 0);
    let all: Vec<Ask> = waiting.iter().chain([&back]).cloned().collect();
    next_minute(&[(&desk, &all)]).await;
    assert_eq!(desk.passed(&all).await, [&back]);
}

pub(crate) async fn a_waiting_call_may_come_to_use_another_key<B: Bench>() {
    let (desk, _bench) = Desk::open::<B>().await;
    let desk = desk.limit_key("a", per_minute(1));
    desk.ask(&call("design")).await;
    let waiting = call("design");
    assert!(!is_granted(&desk.ask(&waiting).await));
    let changed = Ask { keys: keys(&["a", "b"]), ..waiting };
    assert_eq!(key_of(&desk.ask(&changed).await), "b");
}
