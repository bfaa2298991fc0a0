//! Queue of notices, with retries.

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
use crate::https::between_half_and_all;

/// Most waiting notices: one for every team of a large installation at midnight.
const WAITING_MAX: usize = 1_024;
/// How many are sent at a time, so that one slow answer does not delay all others.
const AT_ONCE: usize = 4;
/// Attempts for one notice: with the pauses between, about a quarter of a minute plus the attempts
/// themselves.
const TRIES: u32 = 5;

/// Sends the notices of one webhook.
pub struct Sender {
    post: Post,
    first_pause: Duration,
    door: mpsc::Sender<Notice>,
    waiting: Mutex<mpsc::Receiver<Notice>>,
    observer: Arc<dyn Observer>,
}

/// A notice without an outcome; dropped like this, it counts as dropped.
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
    /// A sender whose [`Sender::work`] does not run yet.
    ///
    /// # Errors
    /// As for [`Post::new`].
    pub fn new(settings: &Settings, observer: Arc<dyn Observer>) -> io::Result<Self> {
        let (door, waiting) = mpsc::channel(WAITING_MAX);
        let post = Post::new(settings)?;
        Ok(Self {
            post,
            first_pause: settings.first_pause,
            door,
            waiting: Mutex::new(waiting),
            observer,
        })
    }

    /// Queues a notice. Does not block: when the queue is full, the notice is counted as dropped.
    pub fn take(&self, notice: Notice) {
        if self.door.try_send(notice).is_err() {
            self.observer.notice(Delivery::Dropped);
        }
    }

    /// Sends queued notices until stopped; the rest are dropped.
    pub async fn work(self: Arc<Self>, stop: CancellationToken) {
        let mut waiting = self.waiting.lock().await;
        let notices = stream::poll_fn(|cx| waiting.poll_recv(cx));
        let sent = notices.for_each_concurrent(AT_ONCE, |notice| Arc::clone(&self).send(notice));
        stop.run_until_cancelled(sent).await;
        while waiting.try_recv().is_ok() {
            self.observer.notice(Delivery::Dropped);
        }
    }

    async fn send(self: Arc<Self>, notice: Notice) {
        let open = Open(Some(Arc::clone(&self.observer)));
        let (id, body) = (notice.id(), notice.written());
        let mut pause = self.first_pause;
        for tried in 1..=TRIES {
            match self.post.send(body.clone()).await {
                Ok(()) => return open.ends(Delivery::Delivered),
                Err(error) if tried < TRIES && error.may_pass() => {
                    tracing::info!(
                        %error,
                        %id,
                        tried,
                        "a notice is tried again: the webhook did not take it"
                    );
                    tokio::time::sleep(between_half_and_all(pause)).await;
                    pause *= 2;
                }
                Err(error) => {
                    tracing::warn!(
                        %error,
                        %id,
                        tried,
                        "a notice was not delivered: the webhook did not take it"
                    );
                    return open.ends(Delivery::Failed);
                }
            }
        }
    }
}
