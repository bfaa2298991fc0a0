//! The bounds of the store in memory: bytes, entries, and time that a clock moves.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::*;
use crate::call::{Fingerprint, KeyHash};
use crate::credits::Credits;
use crate::idempotency::Call;
use crate::ledger::Outcome;
use crate::model::ModelId;

const TTL: Duration = Duration::from_secs(330);

fn settings() -> Settings {
    Settings {
        retention: Duration::from_secs(24 * 3600),
        join_max: Duration::ZERO,
        answer_bytes_max: 10,
        memory_bytes_max: 25,
    }
}

fn clock() -> Clock {
    Clock::moved("2026-11-22T14:26:00Z".parse().unwrap())
}

fn team() -> TeamId {
    TeamId::parse("design").unwrap()
}

fn claim(number: usize) -> Claim {
    Claim {
        id: ReservationId::new(),
        team: team(),
        key: KeyHash::of(&HeaderValue::from(number)),
        fingerprint: Fingerprint::of(&ModelId::parse("flux/dev").unwrap(), b"{}"),
        request_id: RequestId::parse(&format!("r-{number}")).unwrap(),
    }
}

fn id(number: usize) -> ReservationId {
    format!("{:032x}", 0x0193_a1b2_c3d4_7000_8000_0000_0000_0000 + number as u128).parse().unwrap()
}

fn kept(number: usize, body: &'static str) -> StoredResponse {
    let call = Call {
        id: id(number),
        model: ModelId::parse("flux/dev").unwrap(),
        outcome: Outcome::Charged,
    };
    StoredResponse {
        call: Some(call),
        request_id: RequestId::parse(&format!("r-{number}")).unwrap(),
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        cost: Credits::from_micros(25_000),
        body: Some(Bytes::from_static(body.as_bytes())),
    }
}

async fn finished(store: &Memory, number: usize, body: &'static str) -> Claim {
    let claim = Claim { id: id(number), ..claim(number) };
    assert_eq!(store.begin(&claim, TTL).await.unwrap(), Begun::First);
    store.finish(&claim, &kept(number, body)).await.unwrap();
    claim
}

/// Checks that the counts are those of the entries.
fn assert_sound(store: &Memory) {
    let state = store.state.lock().unwrap();
    let bytes: u64 = state.entries.values().map(|entry| entry.content.bytes()).sum();
    let bodies = state.entries.values().filter(|entry| entry.content.bytes() > 0).count();
    assert_eq!(
        (state.bytes, state.bodies.len(), state.expiries.len()),
        (bytes, bodies, state.entries.len())
    );
    let calls = state.entries.keys().filter(|place| matches!(place, EntryKey::Call(..))).count();
    assert_eq!(state.calls.len(), (calls, calls));
    assert!(
        state.bytes <= state.settings.memory_bytes_max && state.entries.len() <= state.entries_max
    );
}

/// The outcomes of these calls stay.
#[tokio::test]
async fn when_bytes_run_out_the_oldest_bodies_are_dropped_first() {
    let store = Memory::new(settings(), clock());
    for number in 0..3 {
        finished(&store, number, "0123456789").await;
        assert_sound(&store);
    }
    for (number, body) in [(0, None), (1, Some("0123456789")), (2, Some("0123456789"))] {
        let found = store.fetch(&team(), id(number)).await.unwrap().unwrap();
        assert_eq!(
            (found.body.as_deref(), found.cost),
            (body.map(str::as_bytes), Credits::from_micros(25_000))
        );
        let Begun::Finished(again) = store.begin(&claim(number), TTL).await.unwrap() else {
            unreachable!()
        };
        assert_eq!(*again, found);
    }
}

#[tokio::test]
async fn old_answers_give_way_and_running_calls_do_not() {
    let store = Memory::with_room_for(7, settings(), clock());
    let running = claim(1000);
    assert_eq!(store.begin(&running, TTL).await.unwrap(), Begun::First);
    for number in 0..100 {
        finished(&store, number, "x").await;
        assert_sound(&store);
    }
    assert_eq!(
        store.begin(&Claim { id: ReservationId::new(), ..running }, TTL).await.unwrap(),
        Begun::Running
    );
    assert!(store.fetch(&team(), id(0)).await.unwrap().is_none());
    assert!(store.fetch(&team(), id(99)).await.unwrap().is_some());
}

#[tokio::test]
async fn answers_are_forgotten_after_retention_and_claims_after_their_time() {
    let clock = clock();
    let store = Memory::new(settings(), clock.clone());
    let start = clock.now();
    finished(&store, 1, "x").await;
    store.keep(&team(), &kept(2, "yy")).await.unwrap();
    let running = claim(3);
    assert_eq!(store.begin(&running, TTL).await.unwrap(), Begun::First);

    clock.set(start + TTL);
    assert_eq!(
        store.begin(&claim(3), TTL).await.unwrap(),
        Begun::First,
        "the first was never sent"
    );
    assert!(matches!(store.begin(&claim(1), TTL).await.unwrap(), Begun::Finished(_)));

    clock.set(start + settings().retention);
    for number in [1, 2] {
        assert!(store.fetch(&team(), id(number)).await.unwrap().is_none());
    }
    assert_eq!(store.begin(&claim(1), TTL).await.unwrap(), Begun::First);
    assert_sound(&store);
    assert_eq!(store.state.lock().unwrap().bytes, 0);
}

#[tokio::test]
async fn a_body_that_replaces_another_is_counted_once() {
    let store = Memory::new(settings(), clock());
    for body in ["0123456789", "", "01234", "012"] {
        store.keep(&team(), &kept(1, body)).await.unwrap();
        assert_sound(&store);
        assert_eq!(store.state.lock().unwrap().bytes, body.len() as u64);
    }
}
