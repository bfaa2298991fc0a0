//! The streams of one HTTP/2 connection, each run so that it can be cut off when its answer is read too slowly.

use std::sync::Arc;

use hyper::rt::Executor;

use super::calls::Calls;

/// Runs the streams of one HTTP/2 connection, each so that it can be cut off.
#[derive(Clone)]
pub(super) struct Streams(pub(super) Arc<Calls>);

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    /// hyper runs what answers a call as soon as the call was begun, so the last one begun is this one.
    fn execute(&self, stream: F) {
        match self.0.begun_last() {
            Some(pace) => pace.carried_by(stream),
            None => drop(tokio::spawn(stream)),
        }
    }
}
