//! Slow readers: an answer that is read below the least rate is cut off. Over HTTP/1 that ends the
//! connection, over HTTP/2 only the stream, since others on the connection may be read well. What
//! was not delivered is kept for its team.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use pin_project_lite::pin_project;
use tokio::time::Instant;

/// Least rate at which an answer must be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct MinRate {
    /// Bytes a second.
    pub(super) rate: u64,
    /// Length of the stretches over which it is measured.
    pub(super) window: Duration,
}

/// Read rate of one answer.
#[derive(Debug)]
pub(super) struct ReadRate {
    taken: AtomicU64,
    /// Time of the last check, and the bytes taken by then.
    looked: Mutex<(Instant, u64)>,
    /// Whether it has an HTTP/2 stream of its own, which can be cut off.
    has_stream: AtomicBool,
    is_cut: AtomicBool,
    stream: AtomicWaker,
}

impl ReadRate {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicU64::new(0),
            looked: Mutex::new((Instant::now(), 0)),
            has_stream: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            stream: AtomicWaker::new(),
        })
    }

    /// Starts the measurement: the answer is there to be read.
    pub(super) fn begin(&self) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), 0);
    }

    /// Counts bytes that were taken to be written.
    pub(super) fn record(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether less than the least rate was taken since the last check. Checks once per window.
    pub(super) fn is_too_slow(&self, min: MinRate) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, before) = *looked;
        let elapsed = since.elapsed();
        if elapsed < min.window {
            return false;
        }
        let taken = self.taken.load(Ordering::Relaxed);
        *looked = (Instant::now(), taken);
        let needed = u128::from(min.rate) * elapsed.as_millis() / 1000;
        u128::from(taken.saturating_sub(before)) < needed
    }

    /// Cuts off its stream. Returns `false` when it has none, so that only the connection can be
    /// cut off.
    pub(super) fn cut(&self) -> bool {
        self.is_cut.store(true, Ordering::Release);
        self.stream.wake();
        self.has_stream.load(Ordering::Relaxed)
    }

    /// Runs the stream that carries this answer, until it ends or is cut off.
    pub(super) fn carried_by(self: Arc<Self>, stream: impl Future<Output = ()> + Send + 'static) {
        self.has_stream.store(true, Ordering::Relaxed);
        drop(tokio::spawn(Cuttable { stream, read_rate: self }));
    }
}

pin_project! {
    /// A stream until it ends or is cut off. Dropped before its end, it is reset with CANCEL (RFC
    /// 9113, 5.4.2).
    struct Cuttable<F> {
        #[pin]
        stream: F,
        read_rate: Arc<ReadRate>,
    }
}

impl<F: Future<Output = ()>> Future for Cuttable<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        this.read_rate.stream.register(cx.waker());
        if this.read_rate.is_cut.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            this.stream.poll(cx)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN_RATE: MinRate = MinRate { rate: 1000, window: Duration::from_secs(10) };

    /// The rate is counted over a window.
    #[tokio::test(start_paused = true)]
    async fn reading_below_the_least_rate_is_too_slow() {
        let read_rate = ReadRate::new();
        tokio::time::advance(Duration::from_secs(100)).await;
        read_rate.begin();
        for (taken, too_slow) in [(10_000, false), (9_999, true), (20_000, false), (0, true)] {
            read_rate.record(taken);
            assert!(!read_rate.is_too_slow(MIN_RATE), "the window is not over");
            tokio::time::advance(MIN_RATE.window).await;
            assert_eq!(read_rate.is_too_slow(MIN_RATE), too_slow, "{taken}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_is_cut_off_is_dropped_at_once() {
        let (read_rate, held) = (ReadRate::new(), Arc::new(()));
        let inside = Arc::clone(&held);
        let stream = async move {
            std::future::pending::<()>().await;
            drop(inside);
        };
        assert!(!read_rate.cut(), "it has no stream");
        let read_rate = ReadRate::new();
        read_rate.has_stream.store(true, Ordering::Relaxed);
        let running = tokio::spawn(Cuttable { stream, read_rate: Arc::clone(&read_rate) });
        tokio::task::yield_now().await;
        assert!(read_rate.cut());
        assert!(running.await.is_ok());
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
