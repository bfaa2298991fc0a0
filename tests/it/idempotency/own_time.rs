//! The gateway's own time in the metrics: waiting does not count, neither for another call nor
//! after the caller has left.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::gateway::{once, prepaid};
use super::left::send_and_leave;
use crate::support::caller::Connection;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

/// How long calls are held: much longer than a gateway takes for anything, on the busiest machine.
const HELD: Duration = Duration::from_secs(8);

fn millis(line: &Value, name: &str) -> f64 {
    line[name].as_f64().unwrap_or_default()
}

/// The parts of a request's time are no more than the whole.
fn assert_that_it_adds_up(line: &Value) {
    let parts = ["own_ms", "queue_ms", "upstream_ms", "joined_ms"].map(|part| millis(line, part));
    // Each is measured to a microsecond.
    assert!(parts.iter().sum::<f64>() <= millis(line, "duration_ms") + 0.01, "{line}");
}

#[tokio::test]
async fn joining_or_leaving_a_call_costs_no_wait_time() {
    let firemoon = Firemoon::start();
    let installation = prepaid(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    let design = installation.key("design").to_owned();
    firemoon.hold().await;
    let in_flight = r#"moongate_http_in_flight{route="/api/v1/{model}"}"#;
    let mut callers = Vec::new();
    // One after the other: the first with the key makes the call.
    for (name, held, come) in [("first", 1, 1.0), ("joined", 1, 2.0), ("leaves", 2, 3.0)] {
        let call =
            if name == "leaves" { picture().with(&design) } else { once("order-1", &design) };
        let (call, mut connection) =
            (call.header("x-request-id", name), Connection::open(gateway.team()).await);
        callers.push(tokio::spawn(async move { connection.exchange(&call).await.is_ok() }));
        wait_until("it has come", || async { gateway.metric(in_flight).await == Some(come) }).await;
        firemoon.until_held(held).await;
    }
    let since = Instant::now();
    wait_until("time has passed", || async { since.elapsed() > HELD }).await;
    callers.pop().unwrap().abort();
    let line =
        |name: &str| gateway.lines("request").into_iter().find(|line| line["request_id"] == name);
    wait_until("it has left", || async { line("leaves").is_some() }).await;
    send_and_leave(
        picture().with(&design).header("x-request-id", "leaves at once"),
        &gateway,
        &firemoon,
        2,
    )
    .await;
    firemoon.release().await;
    for caller in callers {
        assert!(caller.await.unwrap());
    }
    let waited = [("first", "upstream_ms"), ("joined", "joined_ms"), ("leaves", "upstream_ms")];
    wait_until("all lines are written", || async {
        waited.iter().all(|(name, _)| line(name).is_some())
    })
    .await;
    // One that has come may be a while on its way to where it waits.
    let most_of_it = HELD.as_secs_f64() * 1000.0 / 2.0;
    for (name, part) in waited {
        let line = line(name).unwrap();
        assert!(millis(&line, part) > most_of_it && millis(&line, "own_ms") < most_of_it, "{line}");
        assert_that_it_adds_up(&line);
    }
    gateway.lines("request").iter().for_each(assert_that_it_adds_up);
    let sum = gateway.metric("moongate_overhead_seconds_sum").await.unwrap();
    assert!(sum < HELD.as_secs_f64() / 2.0, "{sum}");
}
