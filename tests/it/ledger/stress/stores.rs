//! The stores of the stress test: Redis with two processes, and the embedded one with many threads
//! of one process.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moongate::clock::Clock;
use moongate::ledger::embedded::{self, EmbeddedLedger};
use moongate::ledger::redis::Settings;
use moongate::ledger::{Ledger, OnUnknown, ReservationId, Unobserved};
use moongate::store::Topology;

use super::{Answers, CALLS, Crowd, stand_trial};
use crate::ledger::conformance::harness::{MORNING, moment};
use crate::ledger::conformance::{RETENTION, TTL};
use crate::support::redis::RedisServer;
use crate::support::stored;
use crate::support::stored::Reached as _;

/// The task of a process that takes part: where Redis is, what time it is there, and which half of
/// the calls are its own.
const PART: &str = "MOONGATE_TEST_TRIAL_PART";
const PROCESSES: usize = 2;

fn in_redis(url: String, clock: &Clock) -> Arc<dyn Ledger> {
    let settings = Settings { reservation_ttl: TTL, ..Settings::new(Topology::Single { url }) }
        .within(Duration::from_secs(60))
        .told_by(clock);
    stored::ledger(settings)
}

/// No call is refused while there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_redis_pass_exactly_their_limits() {
    if let Ok(part) = std::env::var(PART) {
        return take_part(&part).await;
    }
    let test = "ledger::stress::stores::two_processes_on_one_redis_pass_exactly_their_limits";
    let (server, clock) = (RedisServer::start().await, Clock::moved(moment(MORNING)));
    let handles = [in_redis(server.url(), &clock), in_redis(server.url(), &clock)];
    let wave = async |_: &Crowd| {
        let part = |half| format!("{} {} {half}", server.url(), clock.now().as_microsecond());
        let parts = (0..PROCESSES).map(part).map(|part| start(test, &part)).collect();
        tokio::task::spawn_blocking(move || answers(parts)).await.unwrap()
    };
    stand_trial(&clock, handles, wave).await;
}

/// Starts this very test in a process of its own.
fn start(test: &str, part: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(PART, part)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets the processes begin when all are ready, and collects what became of their calls.
fn answers(parts: Vec<Child>) -> Answers {
    let ready = |mut part: Child| {
        let mut lines = BufReader::new(part.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "ready"));
        (part, lines)
    };
    let mut parts: Vec<_> = parts.into_iter().map(ready).collect();
    for (part, _) in &mut parts {
        drop(part.stdin.take());
    }
    let mut answers = vec![None; CALLS];
    for (mut part, lines) in parts {
        for line in lines {
            if let Some((call, id)) =
                line.strip_prefix("admitted ").and_then(|rest| rest.split_once(' '))
            {
                answers[call.parse::<usize>().unwrap()] =
                    Some(id.parse::<ReservationId>().unwrap());
            }
        }
        assert!(part.wait().unwrap().success());
    }
    answers
}

/// Sends this process's half of the calls, once it reads that it may begin.
async fn take_part(part: &str) {
    let mut words = part.split(' ');
    let mut word = || words.next().unwrap();
    let (url, now, half) = (word().to_owned(), word().parse().unwrap(), word().parse().unwrap());
    let clock = Clock::moved(Timestamp::from_microsecond(now).unwrap());
    let (crowd, ledger) = (Crowd::new(), in_redis(url, &clock));
    ledger.probe().await.unwrap();
    say("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let mut answers = String::new();
    for (call, id) in crowd.come((half..CALLS).step_by(PROCESSES), &ledger).await {
        if let Some(id) = id {
            answers.push_str(&format!("admitted {call} {id}\n"));
        }
    }
    say(&answers);
}

/// Prints on lines of its own, whatever the test harness prints beside it.
fn say(text: &str) {
    std::io::stdout().lock().write_all(format!("\n{text}\n").as_bytes()).unwrap();
}

/// No call is refused while there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_on_one_file_pass_exactly_their_limits() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::moved(moment(MORNING)));
    let settings = embedded::Settings {
        path: folder.path().join("ledger.db"),
        reservation_ttl: TTL,
        retention: RETENTION,
        on_unknown: OnUnknown::Charge,
        clock: clock.clone(),
    };
    let ledger: Arc<dyn Ledger> =
        Arc::new(EmbeddedLedger::open(settings, Arc::new(Unobserved)).unwrap());
    let wave = async |crowd: &Crowd| {
        let mut answers = vec![None; CALLS];
        for (call, id) in crowd.come(0..CALLS, &ledger).await {
            answers[call] = id;
        }
        answers
    };
    stand_trial(&clock, [Arc::clone(&ledger), Arc::clone(&ledger)], wave).await;
}
