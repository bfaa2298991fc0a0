//! Confirmed and lost answers of a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body::Body;

use crate::http::{AnswerBody, Delivery};
use crate::server::calls::{Calls, Watched};
use crate::server::unconfirmed::Unconfirmed;
use crate::server::{Drain, Settings};

/// More than two slices.
const LARGE: usize = 150 * 1024;

fn calls() -> Arc<Calls> {
    Calls::new(Drain::default(), Arc::new(Settings::example()), Unconfirmed::default())
}

/// A body of so many bytes, and a counter of reports that it did not arrive.
fn answer(bytes: usize) -> (AnswerBody, Arc<AtomicUsize>) {
    let (body, missed) = (AnswerBody::new(vec![7; bytes]), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&missed);
    let delivery = Delivery::new(Some(body.bytes().clone()), move |body| {
        assert_eq!(body.map(|body| body.len()), Some(bytes));
        counted.fetch_add(1, Ordering::SeqCst);
    });
    (body.delivered_to(delivery), missed)
}

/// Takes so many parts of an answer, as hyper does, and drops it.
async fn take(body: Watched<AnswerBody>, parts: usize) {
    let mut body = std::pin::pin!(body);
    for _ in 0..parts {
        let part = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
        assert!(part.is_some_and(|part| part.is_ok()));
    }
}

#[tokio::test]
async fn an_answer_not_taken_to_its_end_did_not_arrive() {
    for (parts, arrived) in [(0, false), (1, false), (2, false), (3, true)] {
        let calls = calls();
        let (body, missed) = answer(LARGE);
        take(calls.begin().answered(Some(body)), parts).await;
        assert_eq!(missed.load(Ordering::SeqCst), usize::from(!arrived), "{parts}");
        calls.written.confirm();
        drop(calls);
        assert_eq!(missed.load(Ordering::SeqCst), usize::from(!arrived), "{parts}");
    }
}

/// An answer has not arrived when the stream fails.
#[tokio::test]
async fn a_taken_answer_has_arrived_once_its_caller_goes_on() {
    for bytes in [0, 1, LARGE] {
        for (goes_on, fails) in [(true, false), (false, false), (true, true)] {
            let calls = calls();
            let (body, missed) = answer(bytes);
            take(calls.begin().answered(Some(body)), bytes.div_ceil(64 * 1024)).await;
            assert_eq!(missed.load(Ordering::SeqCst), 0, "nothing is known yet");
            if fails {
                calls.written.failed();
            }
            if goes_on {
                calls.written.confirm();
            }
            drop(calls);
            let expected = usize::from(!goes_on || fails);
            assert_eq!(
                missed.load(Ordering::SeqCst),
                expected,
                "{bytes} bytes, {goes_on}, {fails}"
            );
        }
    }
}

#[tokio::test]
async fn of_too_many_answers_the_oldest_count_as_arrived() {
    let (calls, mut lost) = (calls(), Vec::new());
    for _ in 0..super::WRITTEN_MAX + 2 {
        let (body, missed) = answer(1);
        take(calls.begin().answered(Some(body)), 1).await;
        lost.push(missed);
    }
    drop(calls);
    let missed: Vec<usize> = lost.iter().map(|missed| missed.load(Ordering::SeqCst)).collect();
    assert_eq!(
        (&missed[..2], missed[2..].iter().sum::<usize>()),
        (&[0, 0][..], super::WRITTEN_MAX)
    );
}
