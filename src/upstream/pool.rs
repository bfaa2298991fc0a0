//! One worker's open connections to the upstream, and how a call gets one: HTTP/1 by most recent
//! use, HTTP/2 by free stream.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use super::connection::{Connection, Opened, is_ready};
use super::http2_connection::{Http2Connection, Http2Stream, RequestBody};
use super::origin::Origin;
use super::settings::Protocol;

/// Most HTTP/2 connections of one worker; calls beyond their streams wait.
const SHARED_MAX: usize = 8;

/// Connections of one worker.
#[derive(Default)]
pub(super) struct Pool {
    open: Mutex<Open>,
    /// Held while an HTTP/2 connection is opened, so that many calls open one together.
    dialling: tokio::sync::Mutex<()>,
    /// Notified when a stream on an HTTP/2 connection is given back.
    freed: Arc<Notify>,
    /// Number of calls that wait for a stream.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Open {
    /// Target of these connections: a reload that changes it empties the lists.
    origin: Option<Arc<Origin>>,
    /// HTTP/1 connections without a call, least recently used first.
    idle: Vec<Idle>,
    /// HTTP/2 connections. The first one with a stream is used, so that those opened for a burst
    /// become idle afterwards.
    shared: Vec<Arc<Http2Connection>>,
    /// Whether the last connection negotiated HTTP/1: then calls do not wait for one to be opened,
    /// and each opens its own.
    speaks_http1: bool,
}

/// An idle HTTP/1 connection.
struct Idle {
    sender: http1::SendRequest<RequestBody>,
    timer: Timer,
    since: Instant,
}

/// Timer of a call. Kept with an HTTP/1 connection: resetting a timer costs next to nothing, while
/// a new one is added to and removed from the runtime's wheel.
pub(super) type Timer = Pin<Box<Sleep>>;

/// A connection for a call.
pub(super) struct Found {
    /// The connection.
    pub connection: Connection,
    /// Timer for the answer; not set yet.
    pub timer: Timer,
    /// Whether the connection was used before.
    pub reused: bool,
    /// Since when it has been idle; meaningless for HTTP/2.
    pub since: Instant,
}

/// Counts a call that waits for a stream while the value lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn counted(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Found {
    fn used_before(Idle { sender, timer, since }: Idle) -> Self {
        Self { connection: Connection::Http1(sender), timer, reused: true, since }
    }

    fn stream(stream: Arc<Http2Stream>) -> Self {
        Self { reused: true, ..Self::opened(Connection::Http2(stream)) }
    }

    fn opened(connection: Connection) -> Self {
        let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self { connection, timer, reused: false, since: Instant::now() }
    }
}

impl Pool {
    /// A connection that can take a request at once, without waiting, as for nearly every call.
    pub(super) fn at_hand(&self, origin: &Arc<Origin>, idle_max: Duration) -> Option<Found> {
        if let Some(idle) = self.take(origin, idle_max, Instant::now()) {
            if idle.sender.is_ready() {
                return Some(Found::used_before(idle));
            }
            // The connection's last call is not quite over. [`Pool::find`] waits for it.
            self.keep(origin, idle.sender, idle.timer);
        }
        // The caller may not be admitted yet, so admitted calls that wait for a stream come first.
        let nobody_waits = self.waiting.load(Ordering::Relaxed) == 0;
        if nobody_waits { self.stream(origin, idle_max).map(Found::stream) } else { None }
    }

    /// A connection that takes a request now. The caller bounds the wait.
    ///
    /// # Errors
    /// None is open, and none can be opened.
    pub(super) async fn find(&self, origin: &Arc<Origin>, idle_max: Duration) -> io::Result<Found> {
        while let Some(mut idle) = self.take(origin, idle_max, Instant::now()) {
            if is_ready(&mut idle.sender).await {
                return Ok(Found::used_before(idle));
            }
        }
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(stream) = self.stream(origin, idle_max) {
                return Ok(Found::stream(stream));
            }
            if self.opens_freely(origin) {
                return Ok(Found::opened(self.open(origin).await?));
            }
            let waiting = Waiting::counted(&self.waiting);
            let dialling = tokio::select! {
                biased;
                () = freed => continue,
                dialling = self.dialling.lock(), if self.may_open() => dialling,
            };
            drop(waiting);
            // The previous holder of the lock may have opened a connection with room for this call,
            // or found that it is HTTP/1.
            if let Some(stream) = self.stream(origin, idle_max) {
                return Ok(Found::stream(stream));
            }
            if self.opens_freely(origin) {
                drop(dialling);
            } else if !self.may_open() {
                continue;
            }
            return Ok(Found::opened(self.open(origin).await?));
        }
    }

    /// Keeps an HTTP/1 connection and its timer for the next call.
    pub(super) fn keep(
        &self,
        origin: &Arc<Origin>,
        sender: http1::SendRequest<RequestBody>,
        timer: Timer,
    ) {
        let mut open = self.lock();
        open.turn_to(origin);
        open.idle.push(Idle { sender, timer, since: Instant::now() });
    }

    /// Takes back a connection that was reserved and not used. It counts as idle for that time too.
    pub(super) fn give_back(&self, origin: &Arc<Origin>, found: Found) {
        let Found { connection: Connection::Http1(sender), timer, since, .. } = found else {
            return;
        };
        let mut open = self.lock();
        if !sender.is_closed() && open.leads_to(origin) {
            let at = open.idle.partition_point(|idle| idle.since <= since);
            open.idle.insert(at, Idle { sender, timer, since });
        }
    }

    /// Whether there are HTTP/2 connections with calls: then a call that found none in time had no
    /// stream.
    pub(super) fn is_crowded(&self) -> bool {
        self.lock().shared.iter().any(|connection| !connection.is_closed())
    }

    async fn open(&self, origin: &Arc<Origin>) -> io::Result<Connection> {
        // Boxed, since the state of a TLS handshake is far larger than the rest of an open call.
        match Box::pin(Opened::to(origin)).await? {
            Opened::Http1(sender) => {
                self.lock().speaks_http1 = true;
                Ok(Connection::Http1(sender))
            }
            Opened::Http2(connection) => {
                // Takes the first stream for its caller, before others can see it.
                let stream = connection.stream(&self.freed);
                let mut open = self.lock();
                open.turn_to(origin);
                open.speaks_http1 = false;
                open.shared.push(connection);
                drop(open);
                self.freed.notify_waiters();
                stream
                    .map(Connection::Http2)
                    .ok_or_else(|| io::Error::other("the upstream takes no requests"))
            }
        }
    }

    fn opens_freely(&self, origin: &Origin) -> bool {
        match (origin.protocol, &origin.tls) {
            (Protocol::Http1, _) | (Protocol::Auto, None) => true,
            (Protocol::Http2, _) => false,
            (Protocol::Auto, Some(_)) => self.lock().speaks_http1,
        }
    }

    fn may_open(&self) -> bool {
        self.lock().shared.len() < SHARED_MAX
    }

    fn take(&self, origin: &Arc<Origin>, idle_max: Duration, now: Instant) -> Option<Idle> {
        let mut open = self.lock();
        open.turn_to(origin);
        open.close_idle_for(idle_max, now);
        while open.idle.last().is_some_and(|idle| idle.sender.is_closed()) {
            open.idle.pop();
        }
        open.idle.pop()
    }

    /// Closes connections that have had no call for this long.
    pub(super) fn close_idle_for(&self, idle_max: Duration) {
        let mut open = self.lock();
        open.close_idle_for(idle_max, Instant::now());
        open.shared.retain(|connection| !connection.is_idle_for(idle_max));
    }

    fn stream(&self, origin: &Arc<Origin>, idle_max: Duration) -> Option<Arc<Http2Stream>> {
        let mut open = self.lock();
        open.turn_to(origin);
        open.shared
            .retain(|connection| !connection.is_closed() && !connection.is_idle_for(idle_max));
        open.shared.iter().find_map(|connection| connection.stream(&self.freed))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn leads_to(&self, origin: &Arc<Origin>) -> bool {
        self.origin.as_ref().is_some_and(|known| Arc::ptr_eq(known, origin))
    }

    /// Connections of a burst are at the bottom of the stack, each with its buffers. Dropping
    /// closes them.
    fn close_idle_for(&mut self, idle_max: Duration, now: Instant) {
        let is_old = |idle: &Idle| now.saturating_duration_since(idle.since) >= idle_max;
        if self.idle.first().is_some_and(is_old) {
            let old = self.idle.partition_point(is_old);
            self.idle.drain(..old);
            self.idle.shrink_to(self.idle.len() * 2);
        }
    }

    /// Drops connections to another origin; open calls keep theirs until they end.
    fn turn_to(&mut self, origin: &Arc<Origin>) {
        if !self.leads_to(origin) {
            *self = Self { origin: Some(Arc::clone(origin)), ..Self::default() };
        }
    }
}
