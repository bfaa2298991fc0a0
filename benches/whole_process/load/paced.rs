//! Open loop: calls leave at a fixed rate whether the earlier ones were answered or not. Shows what
//! a proxy adds to latency.
//!
//! A thread of its own sends, on a schedule that no answer can delay; the answers are read by
//! tasks. A call's time counts from the moment its bytes were handed to the kernel: how late the
//! sender woke is the machine's doing and told apart.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Connection, Target};
use crate::spread::quantile;

/// What came of a paced window. Times are in microseconds.
pub struct Paced {
    /// Half of the answers were faster.
    pub p50: f64,
    /// 99 of 100 answers were faster.
    pub p99: f64,
    /// 99 of 100 calls left at most this much after their time.
    pub sender_late_p99: f64,
    /// Calls that were not answered with 200.
    pub failed: usize,
}

/// How long the last answers are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// When each call was sent, in nanoseconds from the beginning. Call `n` goes to connection `n %
/// connections`.
struct Schedule {
    begun: Instant,
    interval: Duration,
    sent: Vec<AtomicU64>,
}

impl Schedule {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn due(&self, call: usize) -> Duration {
        self.interval * u32::try_from(call).unwrap_or(u32::MAX)
    }
}

/// Calls a target at a rate a second.
///
/// # Errors
/// It cannot be connected to.
pub async fn pace(
    target: &Target,
    connections: usize,
    rate: u32,
    warm_up: Duration,
    window: Duration,
) -> io::Result<Paced> {
    let interval = Duration::from_secs(1) / rate;
    let count = |time: Duration| (time.as_nanos() / interval.as_nanos()) as usize;
    let warm_up_calls = count(warm_up);
    let all = warm_up_calls + count(window);

    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for index in 0..connections {
        let stream = TcpStream::connect(target.address)?;
        stream.set_nonblocking(true)?;
        writers.push((stream.try_clone()?, target.call(index, connections, 0).to_vec()));
        readers.push(Connection::of(tokio::net::TcpStream::from_std(stream)?)?);
    }
    let sent = (0..all).map(|_| AtomicU64::new(0)).collect();
    let schedule = Arc::new(Schedule { begun: Instant::now(), interval, sent });
    let mut reading = JoinSet::new();
    for (index, reader) in readers.into_iter().enumerate() {
        reading.spawn_local(read_all(
            reader,
            index,
            connections,
            warm_up_calls,
            Arc::clone(&schedule),
        ));
    }
    let sender = {
        let schedule = Arc::clone(&schedule);
        tokio::task::spawn_blocking(move || send_all(writers, &schedule))
    };
    let late = sender.await.map_err(io::Error::other)?;
    let mut times = Vec::with_capacity(all);
    while let Some(read) = reading.join_next().await {
        times.extend(read.map_err(io::Error::other)?);
    }
    times.sort_by(f64::total_cmp);
    let failed = (all - warm_up_calls).saturating_sub(times.len());
    Ok(Paced {
        p50: quantile(&times, 0.5),
        p99: quantile(&times, 0.99),
        sender_late_p99: quantile(&late, 0.99),
        failed,
    })
}

/// Sends every call at its time; by how many microseconds each was late, sorted.
fn send_all(mut writers: Vec<(TcpStream, Vec<u8>)>, schedule: &Schedule) -> Vec<f64> {
    let mut late = Vec::with_capacity(schedule.sent.len());
    for (number, sent) in schedule.sent.iter().enumerate() {
        let due = schedule.due(number);
        if let Some(early) = due.checked_sub(schedule.begun.elapsed()) {
            std::thread::sleep(early);
        }
        let writer = number % writers.len();
        let Some((stream, call)) = writers.get_mut(writer) else { break };
        sent.store(schedule.now(), Ordering::Release);
        late.push(schedule.begun.elapsed().saturating_sub(due).as_secs_f64() * 1e6);
        // What cannot be sent whole is never answered, and counts as failed there.
        stream.write_all(call).ok();
    }
    late.sort_by(f64::total_cmp);
    late
}

/// Reads a connection's answers; the times of those that were good and no warm-up, in microseconds.
async fn read_all(
    mut connection: Connection,
    index: usize,
    connections: usize,
    warm_up_calls: usize,
    schedule: Arc<Schedule>,
) -> Vec<f64> {
    let mut times = Vec::new();
    let deadline = schedule.due(schedule.sent.len()) + PATIENCE;
    for (number, sent) in schedule.sent.iter().enumerate().skip(index).step_by(connections) {
        let patience = deadline.saturating_sub(schedule.begun.elapsed());
        let Ok(Ok(bad)) = tokio::time::timeout(patience, connection.answer()).await else { break };
        let nanoseconds = schedule.now().saturating_sub(sent.load(Ordering::Acquire));
        if bad.is_none() && number >= warm_up_calls {
            times.push(nanoseconds as f64 / 1e3);
        }
    }
    times
}
