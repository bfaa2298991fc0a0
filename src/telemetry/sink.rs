//! Sink of log lines: a bounded buffer that a thread writes to standard output, so that logging
//! never waits for it.
//!
//! `tracing-appender` (as of 0.2.5) will not do: it bounds lines and not bytes, allocates for every
//! line, and does not count lines that the output refused, so that a closed pipe would lose lines
//! without a metric. Its shutdown waits one second at most and then prints to standard output, and
//! it needs crates for dates and channels that nothing else here uses.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::metrics::series::Counter;

/// Most bytes waiting to be written; further lines are dropped and counted.
const BYTES_MAX: usize = 4 << 20;
/// Capacity that a buffer keeps after a burst.
const BYTES_KEPT: usize = 64 << 10;
/// How long lines are collected before they are written together.
const GATHER: Duration = Duration::from_millis(10);
/// How long the process's end waits for an output that does not accept lines.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// A sink of log lines. Clones share it.
#[derive(Clone, Debug)]
pub struct Sink(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    bytes_max: usize,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    stopping: bool,
    finished: bool,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Starts a sink that writes to `out` until its [`Flush`] is dropped. Lost lines are counted in
    /// `dropped`.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn start(out: impl Write + Send + 'static, dropped: Counter) -> io::Result<(Self, Flush)> {
        Self::start_bounded(out, dropped, BYTES_MAX)
    }

    fn start_bounded(
        out: impl Write + Send + 'static,
        dropped: Counter,
        bytes_max: usize,
    ) -> io::Result<(Self, Flush)> {
        let (waiting, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { waiting, changed, bytes_max, dropped });
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || write_out(&writer, out))?;
        Ok((Self(Arc::clone(&shared)), Flush(shared)))
    }

    /// Appends a whole line with its newline. Takes only as long as copying it.
    pub fn append(&self, line: &[u8]) {
        let mut waiting = self.0.waiting();
        if waiting.finished || waiting.lines.len() + line.len() > self.0.bytes_max {
            self.0.dropped.inc();
            return;
        }
        let first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        // If there were lines before, the thread is awake or about to look.
        if first {
            self.0.changed.notify_all();
        }
    }
}

/// Each write is the text of one event, so it stays one line.
impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.append(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Dropped at the end of the process: waits a bounded time until every line is written.
#[derive(Debug)]
pub struct Flush(Arc<Shared>);

impl Drop for Flush {
    fn drop(&mut self) {
        let deadline = Instant::now() + FINISH_WITHIN;
        let mut waiting = self.0.waiting();
        waiting.stopping = true;
        self.0.changed.notify_all();
        while !waiting.finished {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.0.changed.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn write_out(shared: &Shared, mut out: impl Write) {
    let mut writing = Vec::new();
    while gather(shared, &mut writing) {
        if out.write_all(&writing).and_then(|()| out.flush()).is_err() {
            shared.dropped.add(memchr::memchr_iter(b'\n', &writing).count() as u64);
        }
        writing.clear();
        writing.shrink_to(BYTES_KEPT);
    }
    shared.waiting().finished = true;
    shared.changed.notify_all();
}

/// Waits for lines and takes them; returns `false` when there are none and none will come.
fn gather(shared: &Shared, writing: &mut Vec<u8>) -> bool {
    let mut waiting = shared.waiting();
    while waiting.lines.is_empty() {
        if waiting.stopping {
            return false;
        }
        waiting = shared.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
    }
    if !waiting.stopping {
        let gathered =
            shared.changed.wait_timeout_while(waiting, GATHER, |waiting| !waiting.stopping);
        waiting = gathered.unwrap_or_else(PoisonError::into_inner).0;
    }
    std::mem::swap(&mut waiting.lines, writing);
    true
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// An output that accepts nothing until it is opened, and records what it accepted.
    struct Gate {
        go: mpsc::Receiver<()>,
        opened: bool,
        written: Arc<Mutex<Vec<u8>>>,
        reached: mpsc::Sender<()>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.opened {
                let _ = self.reached.send(());
                self.opened = self.go.recv().is_ok();
            }
            self.written.lock().expect("unpoisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_output_costs_lines_and_never_the_logger() {
        let (open, go) = mpsc::channel();
        let (reached, blocked) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate { go, opened: false, written: Arc::clone(&written), reached };
        let dropped = Counter::default();
        let (sink, flush) = Sink::start_bounded(gate, dropped.clone(), 100).expect("a thread");
        sink.append(b"the first line\n");
        blocked.recv_timeout(Duration::from_secs(10)).expect("the thread writes");
        for _ in 0..20 {
            sink.append(b"0123456789\n");
        }
        assert_eq!(dropped.get(), 20 - 100 / 11, "a hundred bytes wait, the rest is dropped");
        open.send(()).expect("the thread waits");
        drop(flush);
        let text = String::from_utf8(written.lock().expect("unpoisoned").clone()).expect("text");
        assert_eq!(text, "the first line\n".to_owned() + &"0123456789\n".repeat(9));
        sink.append(b"too late\n");
        assert_eq!(dropped.get(), 12);
    }

    #[test]
    fn a_closed_output_is_counted_line_by_line() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let dropped = Counter::default();
        let (sink, flush) = Sink::start(Closed, dropped.clone()).expect("a thread");
        sink.append(b"one\n");
        sink.append(b"two\n");
        drop(flush);
        assert_eq!(dropped.get(), 2);
    }
}
