//! How long an operation is waited for.

use tokio::time::{Instant, advance};

use super::super::{Settings, Topology};
use super::*;

const DEADLINE: Duration = Duration::from_millis(160);

/// The result of an attempt under that deadline, and how long it took.
async fn in_time(
    attempt: impl Future<Output = Result<(), Outage>>,
) -> (Result<(), Outage>, Duration) {
    let settings = Settings::new(Topology::Single { url: "redis://127.0.0.1:1".to_owned() });
    let exchanges = Exchanges::new(Dialer::new(&settings).unwrap(), DIAL_TIMEOUT, DEADLINE);
    let started = Instant::now();
    let done = exchanges.in_time("key", &Progress::default(), attempt).await;
    (done, started.elapsed())
}

/// An operation of a process that comes round to it so many times, each time a whole deadline late.
async fn late(rounds: u32) -> Result<(), Outage> {
    for _ in 0..rounds {
        advance(DEADLINE).await;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_silent_store_is_given_up_at_the_deadline() {
    let (done, duration) = in_time(std::future::pending()).await;
    assert!(matches!(done, Err(Outage::TimedOut)));
    assert!((DEADLINE..DEADLINE * 2).contains(&duration), "{duration:?}");
}

#[tokio::test(start_paused = true)]
async fn a_late_process_takes_an_answer_that_is_there() {
    for rounds in [1, 3, 12] {
        let (done, _) = in_time(late(rounds)).await;
        assert!(done.is_ok(), "{rounds} rounds");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_is_not_late_for_ever() {
    let (done, _) = in_time(late(100)).await;
    assert!(matches!(done, Err(Outage::TimedOut)));
}
