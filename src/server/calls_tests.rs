//! Timeouts of a connection.

use std::sync::Arc;
use std::time::Duration;

use http_body::Body;
use tokio::time::Instant;

use super::calls::{Calls, UNREAD_MAX, Unmoved};
use super::unconfirmed::Unconfirmed;
use super::{Drain, Settings};
use crate::http::AnswerBody;

fn calls() -> Arc<Calls> {
    Calls::new(Drain::default(), Arc::new(Settings::example()), Unconfirmed::default())
}

/// Why the connection is given up, and after how long.
async fn unmoved(calls: &Calls) -> (Unmoved, Duration) {
    let began = Instant::now();
    let why = calls.unmoved(false).await;
    (why, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_connection_idles_without_calls_and_never_with_one() {
    let (calls, settings) = (calls(), Settings::example());
    assert_eq!(
        unmoved(&calls).await,
        (Unmoved::Idle, settings.header_timeout),
        "it has not called yet"
    );
    let call = calls.begin();
    assert!(tokio::time::timeout(settings.idle_timeout * 5, unmoved(&calls)).await.is_err());
    drop(call);
    assert_eq!(unmoved(&calls).await, (Unmoved::Idle, settings.idle_timeout));
}

#[tokio::test(start_paused = true)]
async fn a_short_idle_timeout_is_kept_after_an_open_call() {
    let settings = Settings { idle_timeout: Duration::from_secs(1), ..Settings::example() };
    let calls = Calls::new(Drain::default(), Arc::new(settings), Unconfirmed::default());
    let call = calls.begin();
    let ends = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(call);
    };
    let ((why, after), ()) = tokio::join!(unmoved(&calls), ends);
    assert_eq!(why, Unmoved::Idle);
    assert!(after <= Duration::from_secs(2), "{after:?}");
}

/// The timeout does not depend on the idle time that was left.
#[tokio::test(start_paused = true)]
async fn the_head_timeout_starts_at_the_heads_first_byte() {
    let (calls, settings) = (calls(), Settings::example());
    drop(calls.begin());
    let byte = async {
        tokio::time::sleep(settings.idle_timeout / 2).await;
        calls.read();
        calls.waits();
    };
    let (noticed, ()) = tokio::join!(unmoved(&calls), byte);
    assert_eq!(noticed, (Unmoved::Slow, settings.idle_timeout / 2 + settings.header_timeout));
}

#[tokio::test(start_paused = true)]
async fn more_bytes_do_not_extend_the_head_timeout() {
    let (calls, settings) = (calls(), Settings::example());
    let call = calls.begin();
    calls.read();
    calls.waits();
    drop(call);
    assert!(calls.idle_since().is_some(), "a body is no head");
    calls.read();
    calls.waits();
    let trickle = async {
        for _ in 0..9 {
            tokio::time::sleep(settings.header_timeout / 10).await;
            calls.read();
            calls.waits();
        }
    };
    let (noticed, ()) = tokio::join!(unmoved(&calls), trickle);
    assert_eq!(noticed, (Unmoved::Slow, settings.header_timeout));
}

#[tokio::test(start_paused = true)]
async fn an_untaken_answer_is_noticed_even_while_closing() {
    for is_closing in [false, true] {
        let calls = calls();
        let body = calls.begin().answered(Some(AnswerBody::new("an answer")));
        let began = Instant::now();
        assert_eq!(calls.unmoved(is_closing).await, Unmoved::Unread);
        assert!(began.elapsed() >= calls.settings.read_window);
        drop(body);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_asked_to_close_does_so_at_once() {
    let calls = calls();
    drop(calls.begin());
    let asks = async { calls.ask_to_go() };
    let (noticed, ()) = tokio::join!(unmoved(&calls), asks);
    assert_eq!(noticed, (Unmoved::Idle, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_body_is_not_being_written() {
    let calls = calls();
    let body = calls.begin().answered(None::<AnswerBody>);
    assert!(body.is_end_stream());
    assert!(
        tokio::time::timeout(UNREAD_MAX * 5, unmoved(&calls)).await.is_err(),
        "there is nothing to read"
    );
}
