//! Executor of one HTTP/2 connection's streams, which can cut one off when its answer is read too
//! slowly.

use std::sync::Arc;

use hyper::rt::Executor;

use super::calls::Calls;

/// Runs the streams of one HTTP/2 connection.
#[derive(Clone)]
pub(super) struct Streams(pub(super) Arc<Calls>);

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    /// hyper spawns a call's stream right after it began the call, so it belongs to the latest
    /// call.
    fn execute(&self, stream: F) {
        match self.0.begun_last() {
            Some(read_rate) => read_rate.carried_by(stream),
            None => drop(tokio::spawn(stream)),
        }
    }
}
