//! What waits to be told, and how long it is tried.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::body::Notice;
use super::observe::{Delivery, Observer};
use super::post::Post;

/// How many notices may wait: every team of a large installation at midnight.
const WAITING_MAX: usize = 1_024;
/// How many are told at once, so that one slow answer does not keep all others waiting.
const AT_ONCE: usize = 4;
/// How often one is tried: with the pauses between, for about a quarter of a minute beside the tries themselves.
const TRIES: u32 = 5;

/// The desk before one webhook.
pub struct Sender {
    post: Post,
    first_pause: Duration,
    door: mpsc::Sender<Notice>,
    waiting: Mutex<mpsc::Receiver<Notice>>,
    observer: Arc<dyn Observer>,
}

/// A notice that has not come to its end: given up, it is counted as dropped.
struct Open(Option<Arc<dyn Observer>>);

impl Open {
    fn ends(mut self, delivery: Delivery) {
        if let Some(observer) = self.0.take() {
            observer.notice(delivery);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(observer) = self.0.take() {
            observer.notice(Delivery::Dropped);
        }
    }
}

impl Sender {
    /// A desk that nobody works at yet.
    ///
    /// # Errors
    /// As for [`Post::new`].
    pub fn new(settings: &Settings, observer: Arc<dyn Observer>) -> io::Result<Self> {
        let (door, waiting) = mpsc::channel(WAITING_MAX);
        let post = Post::new(settings)?;
        Ok(Self { post, first_pause: settings.first_pause, door, waiting: Mutex::new(waiting), observer })
    }

    /// Takes a notice to be told. Does not block: when too many wait it is dropped, and that is counted.
    pub fn take(&self, notice: Notice) {
        if self.door.try_send(notice).is_err() {
            self.observer.notice(Delivery::Dropped);
        }
    }

    /// Tells what is taken until told to stop; what is not told by then is dropped.
    pub async fn work(self: Arc<Self>, stop: CancellationToken) {
        let mut waiting = self.waiting.lock().await;
        let notices = stream::poll_fn(|cx| waiting.poll_recv(cx));
        let told = notices.for_each_concurrent(AT_ONCE, |notice| Arc::clone(&self).tell(notice));
        stop.run_until_cancelled(told).await;
        while waiting.try_recv().is_ok() {
            self.observer.notice(Delivery::Dropped);
        }
    }

    async fn tell(self: Arc<Self>, notice: Notice) {
        let open = Open(Some(Arc::clone(&self.observer)));
        let (id, body) = (notice.id(), notice.written());
        let mut pause = self.first_pause;
        for tried in 1..=TRIES {
            match self.post.tell(body.clone()).await {
                Ok(()) => return open.ends(Delivery::Delivered),
                Err(error) if tried < TRIES && error.may_pass() => {
                    tracing::info!(%error, %id, tried, "a notice is tried again: the webhook did not take it");
                    tokio::time::sleep(between_half_and_all(pause)).await;
                    pause *= 2;
                }
                Err(error) => {
                    tracing::warn!(%error, %id, tried, "a notice was not delivered: the webhook did not take it");
                    return open.ends(Delivery::Failed);
                }
            }
        }
    }
}

/// So that replicas which failed together do not come together again.
fn between_half_and_all(pause: Duration) -> Duration {
    let mut random = [0; 1];
    // Without randomness they come together: no harm but a crowd.
    let _ = getrandom::fill(&mut random);
    pause / 2 + pause * u32::from(random[0]) / 512
}
