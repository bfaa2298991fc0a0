//! Tests of the cache: what it keeps, for how long, and what it evicts.
#![allow(clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::*;
use crate::catalogue::page::Found;

const FIELDS: Fields = Fields { id: None, price: None, unit: None };

const NOW: Duration = Duration::from_secs(1000);
const SECOND: Duration = Duration::from_secs(1);

fn config(number: usize) -> Catalogue {
    Catalogue::ModelConfig(ModelId::parse(&format!("no/{number}")).expect("a model id"))
}

fn found(body: &[u8]) -> Page {
    Page::Found(Arc::new(Found::new(Bytes::copy_from_slice(body), None)))
}

fn at(page: Page, at: Duration) -> CachedPage {
    CachedPage { page, at }
}

#[test]
fn what_does_not_exist_goes_before_what_does() {
    let cache = Cache::default();
    cache.put(Catalogue::Models, at(found(b"{}"), Duration::ZERO), &FIELDS);
    for number in 0..ENTRIES_MAX * 2 {
        match number % 2 {
            0 => cache.put(config(number), at(Page::Unknown, SECOND), &FIELDS),
            _ => cache.failed(&config(number), Refusal::UpstreamTimeout, SECOND),
        }
    }
    assert!(matches!(cache.recall(&Catalogue::Models, SECOND), Recalled::Cached(_)));
    assert_eq!(cache.lock().entries.len(), ENTRIES_MAX);
}

#[test]
fn answers_take_a_bounded_room_and_the_oldest_give_way() {
    let cache = Cache::default();
    let page = found(&vec![b'1'; 4 << 20]);
    for number in 0..40 {
        cache.put(
            config(number),
            at(page.clone(), SECOND * u32::try_from(number).expect("small")),
            &FIELDS,
        );
        assert!(cache.lock().bytes() <= BYTES_MAX);
    }
    assert!(matches!(cache.recall(&config(39), NOW), Recalled::Cached(_)));
    assert!(matches!(cache.recall(&config(0), NOW), Recalled::Nothing));
}

#[test]
fn misses_and_failures_are_forgotten_after_their_time() {
    let cache = Cache::default();
    cache.put(config(1), at(Page::Unknown, NOW), &FIELDS);
    cache.failed(&config(2), Refusal::UpstreamTimeout, NOW);
    assert!(matches!(cache.recall(&config(1), NOW + UNKNOWN_FOR - SECOND), Recalled::Cached(_)));
    assert!(matches!(cache.recall(&config(1), NOW + UNKNOWN_FOR), Recalled::Nothing));
    assert!(matches!(cache.recall(&config(2), NOW), Recalled::Failed(Refusal::UpstreamTimeout)));
    assert!(!cache.may_ask_again(&config(2), NOW) && cache.may_ask_again(&config(2), NOW + PAUSE));
    assert!(matches!(cache.recall(&config(2), NOW + PAUSE), Recalled::Nothing));
}

#[test]
fn a_failure_leaves_what_was_kept() {
    let cache = Cache::default();
    cache.put(Catalogue::SampleImages, at(found(b"[]"), NOW), &FIELDS);
    cache.failed(&Catalogue::SampleImages, Refusal::UpstreamTimeout, NOW + SECOND);
    let Recalled::Cached(kept) = cache.recall(&Catalogue::SampleImages, NOW + SECOND) else {
        panic!("it is gone")
    };
    assert_eq!((kept.page, kept.at), (found(b"[]"), NOW));
}

#[test]
fn the_list_of_models_is_known_once_it_names_any() {
    let cache = Cache::default();
    cache.put(Catalogue::SampleImages, at(found(br#"["flux/dev"]"#), NOW), &FIELDS);
    assert_eq!(cache.listed(), None);
    cache.put(Catalogue::Models, at(found(br#"[{"id":"flux/dev"}]"#), NOW), &FIELDS);
    assert_eq!(cache.listed().expect("a list").len(), 1);
    cache.put(Catalogue::Models, at(found(b"{}"), NOW), &FIELDS);
    assert_eq!(cache.listed(), None);
}

#[tokio::test]
async fn a_request_under_way_is_not_repeated() {
    let (cache, fetches) = (Cache::default(), Arc::new(AtomicUsize::new(0)));
    let fetch = || {
        let fetches = Arc::clone(&fetches);
        async move {
            fetches.fetch_add(1, Ordering::SeqCst);
            Err(Refusal::UpstreamBroken)
        }
    };
    let flights =
        [(); 3].map(|()| cache.fly(Catalogue::Models, || Ok(()), fetch()).expect("a flight"));
    for flight in flights {
        assert_eq!(flight.await.map(|kept| kept.at), Err(Refusal::UpstreamBroken));
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    cache
        .fly(Catalogue::Models, || Ok(()), fetch())
        .expect("a flight")
        .await
        .expect_err("broken again");
    assert_eq!(fetches.load(Ordering::SeqCst), 2);
    let refused = cache.fly(Catalogue::Models, || Err(Refusal::Overloaded), fetch()).map(|_| ());
    assert_eq!((refused, fetches.load(Ordering::SeqCst)), (Err(Refusal::Overloaded), 2));
}
